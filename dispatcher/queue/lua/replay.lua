-- replay: dead -> in the stream again, as a new entry with the same id, counted in the same step.
-- Guarded by the dead entry: repeating it after a lost answer changes nothing. A place in an index whose entry is gone is dropped.
-- ARGV: triples id, organization, dead entry. Reply: 1 or 0 (no such entry) for each.
local out = {}
for i = 3, #ARGV, 3 do
  local at = ARGV[i + 2]
  local r = call('XRANGE', dead, at, at)
  local f = r[1] and fields(r[1][2])
  local byorg, byid = places(ARGV[i], ARGV[i + 1], at)
  if f then byorg, byid = places(f.id or '', indexed(f.org_id), at) end
  call('XDEL', dead, at)
  call('ZREM', deadorgs, byorg)
  call('ZREM', deadids, byid)
  if f then
    look()
    local e = {}
    for _, k in ipairs({ 'event', 'org_id', 'payload', 'id', 'published_at' }) do
      if f[k] then e[#e + 1] = k e[#e + 1] = f[k] end
    end
    e[#e + 1] = 'replay' e[#e + 1] = '1'
    call('XADD', events, '*', unpack(e))
    call('HINCRBY', books, 'replayed', '1')
    out[#out + 1] = 1
  else
    out[#out + 1] = 0
  end
end
return { out }
