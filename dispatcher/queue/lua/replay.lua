-- replay: dead letter -> unread, as a new entry of the stream with the same id, counted in the
-- step.
-- Guard: the dead entry is there. So repeating the step after a lost reply changes nothing. A
-- member of an index whose dead entry is gone is removed.
-- ARGV: payload bytes at which to stop, then stride 3: id, organization, dead entry.
-- Reply: 1 or 0 (no such dead entry) for each that was looked at. The rest is for another step.
local stop, bytes = tonumber(ARGV[3]), 0
local out, moved, added = {}, 0, nil
for i = 4, #ARGV, 3 do
  if bytes >= stop then break end
  local dead_entry = ARGV[i + 2]
  local r = call('XRANGE', dead, dead_entry, dead_entry)
  local f = r[1] and to_table(r[1][2])
  local by_org, by_id = index_keys(ARGV[i], ARGV[i + 1], dead_entry)
  if f then
    if moved == 0 then
      -- Before the first XADD: after it, a stream that was made again may not be recognized.
      local _
      _, added = observe_stream()
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
    by_org, by_id = index_keys(f.id or '', index_org(f.org_id), dead_entry)
  end
  call('XDEL', dead, dead_entry)
  call('ZREM', dead_by_org, by_org)
  call('ZREM', dead_by_id, by_id)
  out[#out + 1] = f and 1 or 0
end
if added and initialized() then call('HSET', books, 'seen_added', int(added + moved)) end
return { out }
