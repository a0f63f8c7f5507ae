-- After a write. ARGV: 3 the intent's token, 4 the milliseconds a key without data stays, then for
-- each key an action, a floor and what belongs to the action. Replies: `1` where data is kept, and
-- the sequence, or -1 where the intent was gone.

local cursor = 4
local function argument()
  cursor = cursor + 1
  return ARGV[cursor]
end

-- Removing what is known comes first: it is allowed at the memory limit, and so then is the rest of
-- the script. The other way round a refusal left the data, and no fence.
local function drop(entry, floor, others)
  if entry.payload_at or entry.s or entry.l then forget(entry) end
  if tonumber(floor) > entry.floor then
    redis.call('HSET', entry.key, 'v', floor, 'i', others)
  elseif entry.i then
    redis.call('HSET', entry.key, 'i', others)
  end
  outlive(entry, tonumber(ARGV[4]))
  return 0
end

local function keep(entry, floor, state, payload, life)
  redis.call('HDEL', entry.key, 'i')
  pack(entry, floor, state, payload, life)
  return 1
end

-- Members are one text: two separators, and of each its id, a separator, its sort text and two
-- separators. There are no others in them.
local SEPARATOR = '\31'
local BOUND = SEPARATOR .. SEPARATOR

-- The members and how many these are once one has this sort text, or with an empty one is out.
local function with(members, count, id, sort)
  local named = BOUND .. id .. SEPARATOR
  local first = string.find(members, named, 1, true)
  if first then
    local at = first + #named
    if string.sub(members, at, at + #sort + 1) == sort .. BOUND then return members, count end
    local behind = string.find(members, BOUND, at, true)
    members, count = string.sub(members, 1, first - 1) .. string.sub(members, behind), count - 1
  end
  if sort == '' then return members, count end
  return members .. id .. SEPARATOR .. sort .. BOUND, count + 1
end

-- When it was filled, and when it ends, stay as they were. The fence goes as the rest comes.
local function change(entry, floor, changes)
  local members, count = entry.m, tonumber(entry.k)
  for i = 1, #changes, 2 do members, count = with(members, count, changes[i], changes[i + 1]) end
  if tonumber(floor) < entry.floor then floor = entry.v end
  if members == entry.m then
    redis.call('HSET', entry.key, 'i', '', 'v', floor)
  else
    redis.call('HSET', entry.key, 'i', '', 'v', floor, 'm', members, 'k', text(count))
  end
  return 1
end

local actions = {}

function actions.L(entry, alone, floor)
  local payload, life = argument(), argument()
  return alone and tonumber(floor) >= entry.floor and keep(entry, floor, 'L', payload, life)
end

function actions.A(entry, alone, floor)
  local life = argument()
  return alone and tonumber(floor) >= entry.floor and keep(entry, floor, 'A', '', life)
end

function actions.D()
  return nil
end

function actions.W(entry, alone, floor)
  local sequence, changes = argument(), {}
  for i = 1, 2 * tonumber(argument()) do changes[i] = argument() end
  return alone and entry.known and entry.m and entry.n == sequence and change(entry, floor, changes)
end

local replies = {'K'}
for i = 2, #KEYS do
  local action, floor = argument(), argument()
  local entry = load(KEYS[i], action == 'W' and 'm')
  local others, mine = other_intents(entry, ARGV[3])
  local alone = mine and others == ''
  local kept = actions[action](entry, alone, floor) or drop(entry, floor, others)
  replies[i] = {kept, mine and (entry.n or '0') or '-1'}
end
return replies
