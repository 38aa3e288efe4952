-- fail: records a failed attempt; the event stays held by me (a retry after 0 s), or becomes due later.
-- Invariant: the count is set, not raised, so repeating it after a lost answer changes nothing. Recording ends a row of crashes.
-- ARGV: stride 6: entry, attempts made, status or '', error or '', first seen (Unix ms), delay in ms or -1 (stays held).
-- Reply: state, 1 or 0 (not held any more) for each.
if not registered() then return { 'gone' } end
local out = {}
for i = 3, #ARGV, 6 do
  local entry, delay = ARGV[i], tonumber(ARGV[i + 5])
  local ok = call('HEXISTS', held, entry)
  out[#out + 1] = ok
  if ok == 1 then
    local p = progress(entry)
    call('HSET', p, 'attempts', ARGV[i + 1], 'status', ARGV[i + 2], 'error', ARGV[i + 3], 'seen', ARGV[i + 4])
    call('HDEL', p, 'crashes')
    call('PEXPIRE', p, int(month))
    if delay >= 0 then
      call('HDEL', held, entry)
      -- TIME is cut to milliseconds: one more, so that it is never early.
      later(entry, now + delay + (delay > 0 and 1 or 0), tonumber(ARGV[i + 4]))
    end
  end
end
return { 'ok', out }
