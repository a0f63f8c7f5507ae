-- What the scripts have in common, once the epoch is right.

local now_read
local function now()
  if not now_read then
    local time = redis.call('TIME')
    now_read = tonumber(time[1]) * 1000000 + tonumber(time[2])
  end
  return now_read
end

local function text(number)
  return string.format('%.0f', number)
end

-- A record that is known, and that nobody writes or fills, is one string that readers take without a
-- script: `floor:filled:sequence:state:` and the payload. All else is a hash: what a record becomes
-- while it is written or filled, and every window.
local PACKED = '^(%d+):(%d+):(%d*):([LA]):()'
local LONGEST_HEAD = 64

local function from_string(entry)
  local head, payload_at = redis.pcall('GETRANGE', entry.key, 0, LONGEST_HEAD - 1)
  if type(head) == 'string' then
    entry.v, entry.f, entry.n, entry.s, payload_at = string.match(head, PACKED)
  end
  if payload_at then
    entry.payload_at = payload_at - 1
  else
    redis.call('DEL', entry.key)
  end
end

local function count_intents(entry)
  for expiry in string.gmatch(entry.i, '=(%d+)') do
    if tonumber(expiry) > now() then entry.live = entry.live + 1 else entry.over = entry.over + 1 end
  end
  if entry.live == 0 then entry.over = math.max(entry.over, 1) end -- whatever else it says
end

-- When a window ends, in microseconds, however long its key stays; 0 where nothing says so.
local function ends(entry)
  return tonumber(entry.x or 0) or 0
end

-- An entry as a table: its fields of one letter or two, `m` only if that is asked for, but not `d`,
-- which may be long. `i` has of each intent its token, `=`, its expiry and a space. A key of
-- another form is removed.
local function load(key, members)
  local raw = redis.pcall(
    'HMGET', key, 'v', 'f', 'n', 's', 'l', 'lx', 'i', 'c', 'b', 'x', 'k', members or 'k'
  )
  local entry = {
    key = key, floor = 0, live = 0, over = 0, known = false,
    v = raw[1], f = raw[2], n = raw[3], s = raw[4], l = raw[5], lx = raw[6], i = raw[7],
    c = raw[8], b = raw[9], x = raw[10], k = raw[11], m = members and raw[12]
  }
  if raw.err then from_string(entry) end
  if entry.i and entry.i ~= '' then count_intents(entry) end
  if entry.v then
    entry.floor = tonumber(entry.v) or 0
    entry.filled = tonumber(entry.f)
    entry.known = entry.s and entry.filled and tonumber(entry.v) and true or false
  end
  if entry.x and ends(entry) <= now() then entry.known = false end
  return entry
end

local function payload_of(entry)
  if entry.payload_at then return redis.call('GETRANGE', entry.key, entry.payload_at, -1) end
  return redis.call('HMGET', entry.key, 'd')[1] or ''
end

-- The text of all intents but one, and whether that was among them.
local function other_intents(entry, token)
  local rest, found = '', false
  for intent in string.gmatch(entry.i or '', '[^ ]+') do
    if string.sub(intent, 1, #token + 1) == token .. '=' then
      found = true
    else
      rest = rest .. intent .. ' '
    end
  end
  return rest, found
end

-- Keeps what a record is now known to be, and no lease or intent.
local function pack(entry, version, state, payload, life)
  local head = table.concat({version, text(now()), entry.n or '', state, ''}, ':')
  redis.call('SET', entry.key, head .. payload, 'PX', life)
end

-- What is never forgotten of an entry, as fields and values by turns.
local function lasting(entry)
  local fields = {'v', entry.v}
  if entry.n and entry.n ~= '' then fields[3], fields[4] = 'n', entry.n end
  return fields
end

-- Makes a hash of a packed entry, which ends when that would have.
local function become_hash(entry, fields)
  local left = redis.call('PTTL', entry.key)
  redis.call('DEL', entry.key) -- allowed at the memory limit, as is what follows then
  redis.call('HSET', entry.key, unpack(fields))
  redis.call('PEXPIRE', entry.key, text(math.max(left, 1)))
  entry.payload_at = nil
end

-- The floor, the sequence and the intents are not among them.
local FORGOTTEN = {'d', 's', 'f', 'c', 'b', 'x', 'k', 'm', 'l', 'lx'}

-- Removes what an entry knows, and its lease.
local function forget(entry)
  if entry.payload_at then
    become_hash(entry, lasting(entry))
  else
    redis.call('HDEL', entry.key, unpack(FORGOTTEN))
  end
  for _, field in ipairs(FORGOTTEN) do entry[field] = nil end
  entry.known = false
end

-- A writer that never published: what it committed is unknown, so nothing known may be used.
-- Not while another writes: the remains tell its publish that it was not alone.
local function settle(entry)
  if entry.live > 0 or entry.over == 0 then return end
  forget(entry)
  redis.call('HDEL', entry.key, 'i')
  entry.i, entry.over = nil, 0
end

-- The key stays at least so long, even where nothing is known of it.
local function outlive(entry, milliseconds)
  if redis.call('PTTL', entry.key) < milliseconds then
    redis.call('PEXPIRE', entry.key, text(milliseconds))
  end
end

local function leased(entry)
  return entry.l and (tonumber(entry.lx) or 0) > now()
end

-- Whoever fills does so: of an epoch in which nothing was for so long, there is little to lose.
local function prolong_epoch()
  redis.call('PEXPIRE', KEYS[1], EPOCH_LIFE)
end
