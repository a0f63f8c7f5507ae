-- Records: each is known (`L` live, `A` absent), or there is a reason why not.

local function reply(entry)
  return refused(entry) or {entry.s, entry.v, payload_of(entry), entry.f}
end

local replies = {'K'}
for i = 2, #KEYS do replies[i] = reply(load(KEYS[i])) end
return replies
