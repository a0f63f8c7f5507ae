-- Begins every script. KEYS[1] holds the namespace's epoch, KEYS[2..] are entries of that epoch.
-- ARGV[1] is the epoch that the caller knows, ARGV[2] the one to set where there is none: a text
-- that is never used for two calls. Up to an `@` it names the run of the Redis server, if it has
-- one: an epoch of another run came back from a snapshot or from a replica, and with it entries
-- that missed the last writes.

local EPOCH_LIFE = 2592000000 -- 30 days

local function run_of(epoch)
  return string.match(epoch, '^(.-)@') or ''
end

local epoch = redis.pcall('GET', KEYS[1])
if epoch ~= ARGV[1] then
  if type(epoch) ~= 'string' or run_of(epoch) ~= run_of(ARGV[2]) then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', EPOCH_LIFE)
    epoch = ARGV[2]
  end
  return {'E', epoch}
end
