-- The window of one scope: its members, or the reason why they are not known.

local entry = load(KEYS[2])
local reply = refused(entry)
if not reply then
  local members = {}
  for i = 1, #entry.members, 2 do
    members[i] = string.sub(entry.members[i], 3)
    members[i + 1] = entry.members[i + 1]
  end
  reply = {'L', entry.v, entry.f, entry.c or '0', entry.b or '', members}
end
return {'K', reply}
