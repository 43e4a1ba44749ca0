// Package hook asks and tells a platform by HTTP: the web hooks of ZLMediaKit's dialect.
//
// Hooks that decide (on_publish, on_play, ...) are answers to the hub's questions: [Hooks] implements hub.Authorizer. Hooks that notify
// are sent for events of the hub: it implements hub.Observer too. Each hook has a target of its own, so that one that hangs, is slow, or
// answers nonsense costs the others nothing:
//
//   - A question has a total deadline, hooks.timeout. Failures that come sooner are tried again, after a delay with jitter. It waits for a place
//     for half of that at the most, so that each call has time.
//   - hooks.concurrency bounds the calls that are under way at a target.
//   - A breaker opens after some failures in a row. Then questions are answered at once, as when the hook had failed, and one call every two
//     seconds finds out whether the target is back.
//     A call that had no answer on a kept connection does not count for it: the connection may be what went deaf.
//   - Whether a question that was not answered is a yes or a no is a setting for each hook: no, unless hooks.fail_open names it.
//   - Notifications wait in a queue of hooks.queue calls and 64 MiB, in order for each stream and schema: the next is sent when the one before was
//     taken, or has been given up. One that is answered with nonsense is tried again hooks.retries times; one that is not answered, since the target
//     is down, until it is a minute old. So old is nothing that is sent. What is dropped is counted. The queue outlives configurations: what
//     waits goes where the newest one says.
//   - Redirects are not followed, proxies of the environment are not used, a body of more than 64 KiB is no answer.
//
// A late answer to a notification (on_stream_none_reader, on_stream_not_found) carries the epoch of what it was asked about: it does nothing
// to what has come since.
package hook
