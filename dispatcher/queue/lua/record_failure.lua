-- record_failure: held by the caller -> held, with one more attempt counted (a retry after 0 s); or
-- -> retry, due later.
-- Guard: leaving held, or being held. The count of attempts is set, not raised, so repeating the
-- step after a lost reply changes nothing. A recorded attempt resets the count of crashes.
-- ARGV: stride 6: entry, attempts made, status or '', error or '', first seen (Unix ms), delay in
-- ms or -1 (stays held).
-- Reply: state, 1 or 0 (no longer held) for each.
if not registered() then return { 'fenced' } end
local out = {}
for i = 3, #ARGV, 6 do
  local entry, delay = ARGV[i], tonumber(ARGV[i + 5])
  local ok = call('HEXISTS', held, entry)
  out[#out + 1] = ok
  if ok == 1 then
    local p = progress_key(entry)
    call('HSET', p, 'attempts', ARGV[i + 1], 'status', ARGV[i + 2], 'error', ARGV[i + 3],
      'seen', ARGV[i + 4])
    call('HDEL', p, 'crashes')
    call('PEXPIRE', p, month_text)
    if delay >= 0 then
      call('HDEL', held, entry)
      -- `now` is TIME cut to milliseconds: one ms more, so that the retry is never early.
      schedule(entry, now + delay + (delay > 0 and 1 or 0), tonumber(ARGV[i + 4]))
    end
  end
end
return { 'ok', out }
