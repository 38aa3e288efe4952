-- dead_letter_ids: reads the ids of dead letters. Changes nothing. It reads payloads too, since
-- Redis cannot read an entry without.
-- ARGV: payload bytes at which to stop, then dead entries.
-- Reply: the id of each that was read, '' where there is no such entry.
local stop, bytes = tonumber(ARGV[3]), 0
local out = {}
for i = 4, #ARGV do
  if bytes >= stop then break end
  local r = call('XRANGE', dead, ARGV[i], ARGV[i])
  local f = r[1] and to_table(r[1][2]) or {}
  bytes = bytes + #(f.payload or '')
  out[#out + 1] = f.id or ''
end
return { out }
