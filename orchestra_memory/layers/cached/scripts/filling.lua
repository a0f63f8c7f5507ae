-- What both filling scripts decide. ARGV[3] is the lease's token.

local function barred(entry)
  if entry.live + entry.over > 0 then return -1 end
  if entry.l ~= ARGV[3] or not leased(entry) then return -2 end
  return nil
end

local function give_back(entry)
  redis.call('HDEL', entry.key, 'l', 'lx')
end
