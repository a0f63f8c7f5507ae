-- Records as read below, four arguments each from ARGV[4]: version, state, payload, milliseconds.
-- `L` without a payload gives the lease back; what is known and older goes.

local function fill(entry, version, state, payload, life)
  if state == 'L' and payload == '' then
    if tonumber(version) > entry.floor then
      redis.call('HSET', entry.key, 'v', version) -- first: an emptied key forgets when it expires
      forget(entry)
    else
      give_back(entry)
    end
    return 1
  end
  if tonumber(version) < entry.floor then
    give_back(entry)
    return 0
  end
  pack(entry, version, state, payload, life)
  return 1
end

local replies = {'K'}
for i = 2, #KEYS do
  local entry, at = load(KEYS[i]), 4 * (i - 1)
  replies[i] = barred(entry) or fill(entry, ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
prolong_epoch()
return replies
