"""What Redis does as one step for the records role.

A conversation's row is `created updated used title`, with moments of eighteen digits (and eighteen dashes
where it was never used); its place in the user's list is a moment and its id. A message's row is
`status number owner conversation JSON`: a letter, its number in the conversation, digests of both ids.
"""

from __future__ import annotations

from typing import Final

from jackfield_session_redis.script import Script

ADD_USER: Final = Script("""
local users, names, emails = KEYS[1], KEYS[2], KEYS[3]
local id, name, email, row = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HEXISTS', users, id) == 1 or redis.call('HEXISTS', names, name) == 1
    or (email ~= '' and redis.call('HEXISTS', emails, email) == 1) then
    return 0
end
redis.call('HSET', users, id, row)
redis.call('HSET', names, name, id)
if email ~= '' then
    redis.call('HSET', emails, email, id)
end
return 1
""")

USER_BY_NAME: Final = Script("""
local id = redis.call('HGET', KEYS[2], ARGV[1])
return id and redis.call('HGET', KEYS[1], id)
""")

ADD_CONVERSATION: Final = Script("""
local owners, conversations, list = KEYS[1], KEYS[2], KEYS[3]
local id, user, row, position = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HSETNX', owners, id, user) == 0 then
    return 0
end
redis.call('HSET', conversations, id, row)
redis.call('ZADD', list, 0, position)
return 1
""")

CONVERSATIONS: Final = Script("""
local conversations, list = KEYS[1], KEYS[2]
local after, count = ARGV[1], ARGV[2]
local found = {}
for _, position in ipairs(redis.call('ZREVRANGEBYLEX', list, after, '-', 'LIMIT', 0, count)) do
    found[#found + 1] = position
    found[#found + 1] = redis.call('HGET', conversations, string.sub(position, 19))
end
return found
""")

RENAME_CONVERSATION: Final = Script("""
local conversations, id, title, at = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local row = redis.call('HGET', conversations, id)
if not row then
    return false
end
row = string.sub(row, 1, 19) .. at .. string.sub(row, 38, 57) .. title
redis.call('HSET', conversations, id, row)
return row
""")

DELETE_CONVERSATION: Final = Script("""
local owners, conversations, list, ids, records = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id = ARGV[1]
local row = redis.call('HGET', conversations, id)
if not row then
    return 0
end
for _, record in ipairs(redis.call('LRANGE', ids, 0, -1)) do
    redis.call('HDEL', records, record)
end
local used = string.sub(row, 39, 56)
if string.sub(used, 1, 1) == '-' then
    used = string.sub(row, 1, 18)
end
redis.call('UNLINK', ids)
redis.call('ZREM', list, used .. id)
redis.call('HDEL', conversations, id)
redis.call('HDEL', owners, id)
return 1
""")

ADD_RECORDS: Final = Script("""
local conversations, list, ids, records = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, newest, digests = ARGV[1], ARGV[2], ARGV[3]
local row = redis.call('HGET', conversations, id)
if not row then
    return 0
end
local seen = {}
for at = 4, #ARGV, 3 do
    local record = ARGV[at]
    if seen[record] or redis.call('HEXISTS', records, record) == 1 then
        return -1
    end
    seen[record] = true
end
local number = redis.call('LLEN', ids)
for at = 4, #ARGV, 3 do
    local row = ARGV[at + 1] .. ' ' .. number .. ' ' .. digests .. ' ' .. ARGV[at + 2]
    redis.call('HSET', records, ARGV[at], row)
    redis.call('RPUSH', ids, ARGV[at])
    number = number + 1
end
local created, updated, used = string.sub(row, 1, 18), string.sub(row, 20, 37), string.sub(row, 39, 56)
local never = string.sub(used, 1, 1) == '-'
redis.call('ZREM', list, (never and created or used) .. id)
if never or used < newest then
    used = newest
end
if updated < used then
    updated = used
end
redis.call('ZADD', list, 0, used .. id)
row = created .. ' ' .. updated .. ' ' .. used .. string.sub(row, 57)
redis.call('HSET', conversations, id, row)
return 1
""")

SET_RECORD_STATUS: Final = Script("""
local records, id, owner, status = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local row = redis.call('HGET', records, id)
if not row or string.match(row, '^%a %d+ (%x+) ') ~= owner then
    return 0
end
redis.call('HSET', records, id, status .. string.sub(row, 2))
return 1
""")

RECORDS: Final = Script("""
local conversations, ids, records = KEYS[1], KEYS[2], KEYS[3]
local id, digest, limit, before = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
if redis.call('HEXISTS', conversations, id) == 0 then
    return false
end
local stop
if before then
    local row = redis.call('HGET', records, before)
    local number, of = string.match(row or '', '^%a (%d+) %x+ (%x+) ')
    if of ~= digest then
        return 'unknown'
    end
    stop = tonumber(number)
else
    stop = redis.call('LLEN', ids)
end
local start = math.max(0, stop - limit)
local found = {start}
if start < stop then
    for _, record in ipairs(redis.call('LRANGE', ids, start, stop - 1)) do
        found[#found + 1] = record
        found[#found + 1] = redis.call('HGET', records, record)
    end
end
return found
""")

COUNT_RECORDS: Final = Script("""
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
    return false
end
return redis.call('LLEN', KEYS[2])
""")

UPDATE_SETTINGS: Final = Script("""
for at = 1, #ARGV, 2 do
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
end
return redis.call('HGETALL', KEYS[1])
""")
