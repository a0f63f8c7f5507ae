-- After a write. ARGV: 3 the intent's token, 4 the milliseconds a key without data stays, then for
-- each key an action, a floor and what belongs to the action. Replies: `1` where data is kept, and
-- the sequence, or -1 where the intent was gone.

local cursor = 4
local function argument()
  cursor = cursor + 1
  return ARGV[cursor]
end

-- Removing comes first: it is allowed at the memory limit, and so then is the rest of the script.
-- The other way round a refusal left the data, and no fence.
local function clear(entry)
  local mine = entry.intents[ARGV[3]] ~= nil
  if not entry.payload_at then redis.call('HDEL', entry.key, 'i:' .. ARGV[3], 'l', 'lx') end
  local alone = mine and entry.live + entry.over == 1
  return mine, alone
end

local function raise(entry, floor)
  if tonumber(floor) > entry.floor then redis.call('HSET', entry.key, 'v', floor) end
end

local function drop(entry, floor)
  forget(entry)
  raise(entry, floor)
  outlive(entry, tonumber(ARGV[4]))
  return 0
end

local function keep(entry, valid, floor, state, payload, life)
  if not valid or tonumber(floor) < entry.floor then return drop(entry, floor) end
  pack(entry, floor, state, payload, life)
  return 1
end

-- Members are one text: two separators, and of each its id, a separator, its sort text and two
-- separators. There are no others in them.
local SEPARATOR = '\31'
local BOUND = SEPARATOR .. SEPARATOR

local function without(members, id)
  local first = string.find(members, BOUND .. id .. SEPARATOR, 1, true)
  if not first then return members, 0 end
  local behind = string.find(members, BOUND, first + 2, true)
  return string.sub(members, 1, first - 1) .. string.sub(members, behind), -1
end

-- When it was filled, and when it ends, stay as they were.
local function change(entry, valid, floor, life, changes)
  local ends = tonumber(entry.x)
  if not valid or not ends or ends <= now() then return drop(entry, floor) end
  local members, count, less = entry.m, tonumber(entry.k), 0
  for i = 1, #changes, 2 do
    local id, sort = changes[i], changes[i + 1]
    members, less = without(members, id)
    count = count + less
    if sort ~= '' then
      members, count = members .. id .. SEPARATOR .. sort .. BOUND, count + 1
    end
  end
  if tonumber(floor) < entry.floor then floor = text(entry.floor) end
  redis.call('HSET', entry.key, 'm', members, 'k', text(count), 'v', floor)
  redis.call('PEXPIRE', entry.key, text(math.min(life, math.ceil((ends - now()) / 1000))))
  return 1
end

local actions = {}

function actions.L(entry, alone, floor)
  local payload = argument()
  return keep(entry, alone, floor, 'L', payload, argument())
end

function actions.A(entry, alone, floor)
  return keep(entry, alone, floor, 'A', '', argument())
end

function actions.D(entry, _, floor)
  return drop(entry, floor)
end

function actions.W(entry, alone, floor)
  local sequence, life, changes = argument(), tonumber(argument()), {}
  for i = 1, 2 * tonumber(argument()) do changes[i] = argument() end
  local same = entry.known and entry.s == 'L' and entry.n == sequence
  return change(entry, alone and same, floor, life, changes)
end

local replies = {'K'}
for i = 2, #KEYS do
  local entry = load(KEYS[i])
  local mine, alone = clear(entry)
  local action, floor = argument(), argument()
  local kept = actions[action](entry, alone, floor)
  replies[i] = {kept, mine and (entry.n or '0') or '-1'}
end
return replies
