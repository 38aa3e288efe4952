-- stray: what Redis says I hold. Reads only. After a lost answer a process compares it with what it has in memory.
-- ARGV: none. Reply: state, entries.
if not registered() then return { 'gone' } end
return { 'ok', call('HKEYS', held) }
