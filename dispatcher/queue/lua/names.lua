-- names: the ids of dead events, without their payloads. Reads only.
-- ARGV: dead entries. Reply: the id of each, '' where there is no such entry.
local out = {}
for i = 3, #ARGV do
  local r = call('XRANGE', dead, ARGV[i], ARGV[i])
  out[#out + 1] = r[1] and fields(r[1][2]).id or ''
end
return { out }
