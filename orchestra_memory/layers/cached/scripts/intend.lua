-- Before a write, on records and windows alike; what is known of a record goes, as nobody can use it
-- any more, while a window's members wait for what is written. ARGV: 3 token, 4 milliseconds of the
-- intent, 5 those that the key stays at least. Replies: the sequence, `1` where something is known
-- and nobody else writes, the floor, and of a window whether it is complete, its bound, how many
-- members it has.

local life = tonumber(ARGV[4])
local least = math.max(life, tonumber(ARGV[5]))
local mine = ARGV[3] .. '=' .. text(now() + life * 1000) .. ' '

-- Where nothing is known any more, and nobody else writes, nothing needs to stay for longer.
local function stay(entry, others)
  if not entry.x and others == '' then
    redis.call('PEXPIRE', entry.key, text(least))
  elseif ends(entry) < now() + least * 1000 then
    outlive(entry, least)
  end
end

local function fence(entry, sequence, others)
  if entry.payload_at then
    redis.call('DEL', entry.key) -- allowed at the memory limit, as is what follows then
    redis.call('HSET', entry.key, 'v', entry.v, 'n', sequence, 'i', mine)
  else
    redis.call('HSET', entry.key, 'n', sequence, 'i', others .. mine)
    if entry.l then redis.call('HDEL', entry.key, 'l', 'lx') end
    if entry.s and not entry.x then redis.call('HDEL', entry.key, 'd', 's', 'f') end
  end
  stay(entry, others)
end

local function intend(entry)
  settle(entry)
  local others = other_intents(entry, ARGV[3])
  local ready = entry.known and others == ''
  local sequence = text((tonumber(entry.n) or 0) + 1)
  fence(entry, sequence, others)
  local floor = text(entry.floor)
  return {sequence, ready and 1 or 0, floor, entry.c or '', entry.b or '', tonumber(entry.k) or 0}
end

local replies = {'K'}
for i = 2, #KEYS do replies[i] = intend(load(KEYS[i])) end
return replies
