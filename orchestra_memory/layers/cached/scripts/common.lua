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

local function from_hash(entry, raw)
  for i = 1, #raw, 2 do
    local field, value = raw[i], raw[i + 1]
    if #field <= 2 then
      entry[field] = value
    elseif string.sub(field, 1, 2) == 'i:' then
      local expiry = tonumber(value) or 0
      entry.intents[string.sub(field, 3)] = expiry
      if expiry > now() then entry.live = entry.live + 1 else entry.over = entry.over + 1 end
    end
  end
end

-- An entry as a table: its fields of one letter or two as they are, `i:` as `intents` (expiry by
-- token). A key of another form is removed.
local function load(key)
  local entry = {key = key, floor = 0, intents = {}, live = 0, over = 0}
  local raw = redis.pcall('HGETALL', key)
  if raw.err then from_string(entry) else from_hash(entry, raw) end
  if entry.v then
    entry.floor = tonumber(entry.v) or 0
    entry.filled = tonumber(entry.f)
    entry.known = entry.s and entry.filled and tonumber(entry.v) and true or false
  end
  return entry
end

local function payload_of(entry)
  if entry.payload_at then return redis.call('GETRANGE', entry.key, entry.payload_at, -1) end
  return entry.d or ''
end

-- Keeps what a record is now known to be, and no lease or intent.
local function pack(entry, version, state, payload, life)
  local head = table.concat({version, text(now()), entry.n or '', state, ''}, ':')
  redis.call('SET', entry.key, head .. payload, 'PX', life)
end

-- What is never forgotten of an entry, as fields and values by turns.
local function lasting(entry)
  local fields = {'v', entry.v}
  if entry.n ~= '' then fields[3], fields[4] = 'n', entry.n end
  return fields
end

-- Makes a hash of a packed entry, which ends when that would have, or after `least` milliseconds.
local function become_hash(entry, fields, least)
  local left = redis.call('PTTL', entry.key)
  redis.call('DEL', entry.key) -- allowed at the memory limit, as is what follows then
  redis.call('HSET', entry.key, unpack(fields))
  redis.call('PEXPIRE', entry.key, text(math.max(left, least or 1)))
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
  for token in pairs(entry.intents) do redis.call('HDEL', entry.key, 'i:' .. token) end
  entry.intents, entry.over = {}, 0
end

-- The key stays at least so long. Never called where that prolonged the life of what is known.
local function outlive(entry, milliseconds)
  if redis.call('PTTL', entry.key) < milliseconds then
    redis.call('PEXPIRE', entry.key, text(milliseconds))
  end
end

local function leased(entry)
  return entry.l and (tonumber(entry.lx) or 0) > now()
end

local function prolong_epoch()
  redis.call('PEXPIRE', KEYS[1], EPOCH_LIFE)
end
