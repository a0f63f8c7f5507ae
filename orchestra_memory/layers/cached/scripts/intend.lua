-- Before a write, on records and windows alike; what is known of a record goes, as nobody can use it
-- any more, while a window's members wait for what is written. ARGV: 3 token, 4 milliseconds of the
-- intent, 5 those that the key stays at least. Replies: the sequence, `1` where something is known
-- and nobody else writes, the floor, and of a window whether it is complete, its bound, how many
-- members it has.

local life = tonumber(ARGV[4])
local least = math.max(life, tonumber(ARGV[5]))

local function fence(entry, fields)
  if entry.payload_at then
    fields[#fields + 1], fields[#fields + 2] = 'v', entry.v
    become_hash(entry, fields, least)
    return
  end
  redis.call('HSET', entry.key, unpack(fields))
  if entry.l then redis.call('HDEL', entry.key, 'l', 'lx') end
  if entry.d then redis.call('HDEL', entry.key, 'd', 's', 'f') end
  outlive(entry, least)
end

local function intend(entry)
  settle(entry)
  local others = entry.live + entry.over - (entry.intents[ARGV[3]] and 1 or 0)
  local ready = entry.known and others == 0
  local sequence = text((tonumber(entry.n) or 0) + 1)
  fence(entry, {'n', sequence, 'i:' .. ARGV[3], text(now() + life * 1000)})
  local floor = text(entry.floor)
  return {sequence, ready and 1 or 0, floor, entry.c or '', entry.b or '', tonumber(entry.k) or 0}
end

local replies = {'K'}
for i = 2, #KEYS do replies[i] = intend(load(KEYS[i])) end
prolong_epoch()
return replies
