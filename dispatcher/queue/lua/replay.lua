-- replay: dead -> in the stream again, as a new entry with the same id, counted in the same step.
-- Guarded by the dead entry: repeating it after a lost answer changes nothing. A place in an index whose entry is gone is dropped.
-- ARGV: payload bytes at which to stop, then triples id, organization, dead entry. Reply: for each that was looked at, 1 or 0 (no such
-- entry). The others are for another step.
local stop, bytes = tonumber(ARGV[3]), 0
local out, moved, added = {}, 0, nil
for i = 4, #ARGV, 3 do
  if bytes >= stop then break end
  local at = ARGV[i + 2]
  local r = call('XRANGE', dead, at, at)
  local f = r[1] and fields(r[1][2])
  local byorg, byid = places(ARGV[i], ARGV[i + 1], at)
  if f then
    if moved == 0 then
      local len
      len, added = look() -- before anything is added: afterwards a stream that was made anew may not be known as such
    end
    local e = {}
    for _, k in ipairs({ 'event', 'org_id', 'payload', 'id', 'published_at' }) do
      if f[k] then e[#e + 1] = k e[#e + 1] = f[k] end
    end
    e[#e + 1] = 'replay' e[#e + 1] = '1'
    call('XADD', events, '*', unpack(e))
    call('HINCRBY', books, 'replayed', '1')
    moved = moved + 1
    bytes = bytes + #(f.payload or '')
    byorg, byid = places(f.id or '', indexed(f.org_id), at)
  end
  call('XDEL', dead, at)
  call('ZREM', deadorgs, byorg)
  call('ZREM', deadids, byid)
  out[#out + 1] = f and 1 or 0
end
if added and marked() then call('HSET', books, 'seen_added', int(added + moved)) end
return { out }
