-- The window of one scope: its members, or the reason why they are not known.

local entry = load(KEYS[2], 'm')
local reply = refused(entry)
  or {'L', entry.v, entry.f, entry.c or '0', entry.b or '', entry.m or ''}
return {'K', reply}
