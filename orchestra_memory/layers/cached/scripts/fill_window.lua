-- The members of a scope as read below. ARGV: 4 version, 5 `1` where they are all of it, 6 the sort
-- text of the last otherwise, 7 milliseconds, 8 how many members there are, 9 all of them.

local function fill(entry)
  local version, life = ARGV[4], tonumber(ARGV[7])
  if tonumber(version) < entry.floor then
    give_back(entry)
    return 0
  end
  forget(entry)
  redis.call(
    'HSET', entry.key, 'v', version, 's', 'L', 'f', text(now()), 'c', ARGV[5], 'b', ARGV[6],
    -- Appending in place must not prolong the life of a window that missed something.
    'x', text(now() + life * 1000), 'k', ARGV[8], 'm', ARGV[9]
  )
  redis.call('PEXPIRE', entry.key, ARGV[7])
  return 1
end

local entry = load(KEYS[2])
local reply = barred(entry) or fill(entry)
prolong_epoch()
return {'K', reply}
