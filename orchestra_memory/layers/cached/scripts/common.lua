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

-- Cutting these off the names of all members would take longer than all else.
local COLON, INTENT, MEMBER = string.byte(':im', 1, 3)

-- A record that is known, and that nobody writes or fills, is one string that readers take without a
-- script: `floor:filled:sequence:state:` and the payload. All else is a hash: what a record becomes
-- while it is written or filled, and every window.
local PACKED = '^(%d+):(%d+):(%d*):([LA]):()'
local LONGEST_HEAD = 64

local function unpacked(entry, head)
  local payload_at
  entry.v, entry.f, entry.n, entry.s, payload_at = string.match(head, PACKED)
  if not entry.v then
    redis.call('DEL', entry.key) -- something else; one that is empty looks like none
    return false
  end
  entry.payload_at = payload_at - 1
  return true
end

local function unfolded(entry)
  local raw = redis.pcall('HGETALL', entry.key)
  if raw.err then
    redis.call('DEL', entry.key)
    return false
  end
  local members, last, first_two = entry.members, 0, string.byte
  for i = 1, #raw, 2 do
    local field, value = raw[i], raw[i + 1]
    if #field <= 2 then
      entry[field] = value
    else
      local kind, colon = first_two(field, 1, 2)
      if colon == COLON and kind == MEMBER then
        members[last + 1], members[last + 2] = field, value
        last = last + 2
      elseif colon == COLON and kind == INTENT then
        local expiry = tonumber(value) or 0
        entry.intents[string.sub(field, 3)] = expiry
        if expiry > now() then entry.live = entry.live + 1 else entry.over = entry.over + 1 end
      end
    end
  end
  return true
end

-- An entry as a table: its fields of one letter as they are, `i:` as `intents` (expiry by token),
-- `m:` as `members` (names of fields and texts by turns). A key of another form is removed.
local function load(key)
  local entry = {key = key, floor = 0, intents = {}, live = 0, over = 0, members = {}}
  local head = redis.pcall('GETRANGE', key, 0, LONGEST_HEAD - 1)
  local is_hash = type(head) == 'table'
  local there = is_hash and unfolded(entry) or not is_hash and unpacked(entry, head)
  if there then
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

-- Makes a packed entry a hash, with or without what is known, which lives as long as it would have.
local function unpack_entry(entry, keeping)
  if not entry.payload_at then return end
  local fields = {'v', entry.v}
  if entry.n ~= '' then fields[3], fields[4] = 'n', entry.n end
  if keeping then
    for _, field in ipairs({'s', 'f'}) do
      fields[#fields + 1], fields[#fields + 2] = field, entry[field]
    end
    fields[#fields + 1], fields[#fields + 2] = 'd', payload_of(entry)
  end
  local left = redis.call('PTTL', entry.key)
  redis.call('DEL', entry.key)
  redis.call('HSET', entry.key, unpack(fields))
  if left > 0 then redis.call('PEXPIRE', entry.key, left) end
  entry.payload_at = nil
  if not keeping then entry.s, entry.f, entry.known = nil, nil, false end
end

local SLICE = 1000 -- what `unpack` may put on the stack at once

local function remove(entry, fields)
  for first = 1, #fields, SLICE do
    redis.call('HDEL', entry.key, unpack(fields, first, math.min(first + SLICE - 1, #fields)))
  end
end

local function put(entry, fields)
  for first = 1, #fields, SLICE do
    redis.call('HSET', entry.key, unpack(fields, first, math.min(first + SLICE - 1, #fields)))
  end
end

-- The floor, the sequence and the intents are not among them.
local FORGOTTEN = {'d', 's', 'f', 'c', 'b', 'x', 'l', 'lx'}

-- Removes what an entry knows, and its lease.
local function forget(entry)
  unpack_entry(entry, false)
  local fields = {unpack(FORGOTTEN)}
  for i = 1, #entry.members, 2 do fields[#fields + 1] = entry.members[i] end
  remove(entry, fields)
  for _, field in ipairs(FORGOTTEN) do entry[field] = nil end
  entry.known, entry.members = false, {}
end

-- A writer that never published: what it committed is unknown, so nothing known may be used.
-- Not while another writes: the remains tell its publish that it was not alone.
local function settle(entry)
  if entry.live > 0 or entry.over == 0 then return end
  forget(entry)
  local fields = {}
  for token in pairs(entry.intents) do fields[#fields + 1] = 'i:' .. token end
  remove(entry, fields)
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
