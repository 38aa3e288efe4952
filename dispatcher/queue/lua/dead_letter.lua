-- bury: held by me -> dead. Guarded by leaving held; the dead entry is made in the step that removes the event from the stream.
-- An entry that no longer stands in the stream leaves nothing: it was lost, and the books' difference shows it.
-- ARGV: stride 7: entry, reason, attempts, last status or '', last error or '', first seen (Unix ms), spare. Reply: state, 1 or 0 each.
if not registered() then return { 'gone' } end
local out = {}
for i = 3, #ARGV, 7 do
  local entry = ARGV[i]
  local ok = call('HDEL', held, entry)
  out[#out + 1] = ok
  if ok == 1 then
    local f = read(entry)
    if f then
      bury(entry, f, ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], rfc3339(tonumber(ARGV[i + 5])), publishedat(entry, f))
    else
      call('DEL', progress(entry))
    end
  end
end
return { 'ok', out }
