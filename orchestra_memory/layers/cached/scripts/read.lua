-- Records: each is known (`L` live, `A` absent), or there is a reason why not.

local replies = {'K'}
for i = 2, #KEYS do
  local entry = load(KEYS[i])
  replies[i] = refused(entry) or {entry.s, entry.v, entry.d or '', entry.f}
end
return replies
