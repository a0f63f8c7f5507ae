-- What both reading scripts decide. ARGV: 3 mode (`use`, `refresh`, `peek`), 4 token of the lease,
-- 5 its milliseconds, 6 those that a key without data stays, 7 the time before which what was
-- filled counts as unknown.

local mode, token, since = ARGV[3], ARGV[4], tonumber(ARGV[7])

local function usable(entry)
  return entry.known and entry.filled >= since
end

local function take(entry)
  local life = tonumber(ARGV[5])
  local fields = {'l', token, 'lx', text(now() + life * 1000)}
  if entry.payload_at then
    local kept = {'s', entry.s, 'f', entry.f, 'd', payload_of(entry), unpack(lasting(entry))}
    for _, field in ipairs(kept) do fields[#fields + 1] = field end
    become_hash(entry, fields)
    return
  end
  redis.call('HSET', entry.key, unpack(fields))
  -- Where something is known its end stays: the lease may go with it, the promised age may not.
  if not entry.known or redis.call('PTTL', entry.key) < 0 then
    outlive(entry, math.max(life, tonumber(ARGV[6])))
  end
end

-- Why an entry cannot be used, as the reply that says so; nil where it can.
local function refused(entry)
  if entry.live > 0 then return {'B'} end
  if mode == 'peek' then
    if entry.over == 0 and usable(entry) then return nil end
    return {'M'}
  end
  settle(entry)
  if mode == 'use' and usable(entry) then return nil end
  if leased(entry) then
    if mode == 'refresh' then return {'B'} end
    return {'W', entry.l}
  end
  take(entry)
  return {'M'}
end
