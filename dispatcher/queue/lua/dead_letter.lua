-- dead_letter: held by the caller -> dead letter.
-- Guard: leaving held. The dead letter is made in the step that removes the event from the stream.
-- An entry that has left the stream makes no dead letter: it was lost, and the books' difference
-- shows it.
-- ARGV: stride 6: entry, reason, attempts, last status or '', last error or '', first seen (Unix
-- ms).
-- Reply: state, 1 or 0 (no longer held) for each.
if not registered() then return { 'fenced' } end
local out = {}
for i = 3, #ARGV, 6 do
  local entry = ARGV[i]
  local ok = call('HDEL', held, entry)
  out[#out + 1] = ok
  if ok == 1 then
    local f = read_entry(entry)
    if f then
      dead_letter(entry, f, ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4],
        rfc3339(tonumber(ARGV[i + 5])), published_at(entry, f))
    else
      call('DEL', progress_key(entry))
    end
  end
end
return { 'ok', out }
