// Package m3u8 reads HLS playlists, holds them to the specification, and follows them as a player does. Only tests and the drivers of
// measurements import it; it knows nothing of the writers whose work it judges.
//
// # Reading
//
// [Parse] reads one playlist and is strict about the grammar: what clients must refuse is a [*SyntaxError] with its line. Line numbers,
// and tags that nobody knows, are kept.
//
//	p, err := m3u8.Parse(b)
//	last := p.Media.Last() // Media Sequence Number
//
// # Judging
//
// [Lint] holds one playlist to the rules, each with its section of the specification and its force, MUST or SHOULD. A [History] is fed the
// answers for one playlist, whole ones and delta updates, with their times and headers, and judges the change too; [Rules] lists all.
//
//	var h m3u8.History
//	whole, problems := h.Add(m3u8.Response{At: time.Now(), URL: url, Header: resp.Header, Body: b})
//	for _, p := range m3u8.Musts(problems, "segment-overdue") { t.Error(p) }
//
// [Merge] puts a delta update together with the version before it, [Diff] compares two versions of one instant.
//
// # Playing
//
// A [Player] follows a playlist, Media or Multivariant: it reloads when the specification says so or by blocking requests, judges all it
// gets, and gives each segment or part once and in order. What it could not get it says. With Options.Check it holds the media to the playlist as
// well. [Units] demuxes what it gives.
//
//	p, err := m3u8.NewPlayer(url, m3u8.Options{Client: client, LowLatency: true, Check: true})
//	u := m3u8.NewUnits(p)
//	for {
//		unit, err := u.Next(ctx) // io.EOF behind EXT-X-ENDLIST
//		...
//	}
//	problems, missed := p.Problems(), p.Missed()
//
// # Tolerances
//
//   - the sum of the parts of a segment against EXTINF: 1 ms for each part and 1 ms more
//   - the length of a part: none above PART-TARGET, 1 us below 85 % of it
//   - EXT-X-PROGRAM-DATE-TIME against durations: 250 ms; overlaps of 1 s are ambiguous, which is a MUST
//   - the date of one segment in two versions: 1 ms if both are written, 1 s if one is derived
//   - updates in time (1.5 target durations, one part target): 500 ms more; and only what is certain is told
//   - media against EXTINF or DURATION: one and a half frames and 1 ms
//   - tfdt against the samples before it: half a sample, at least 2 ms, since stamps of milliseconds are rounded
//
// A segment may be skipped in a delta update if its end is as far from the end of the last segment as CAN-SKIP-UNTIL, and must be if it is further. Parts
// count as late (6.2.2) by the end of the last closed segment. That segments and parts are there for as long as they must after they were removed is
// not looked at.
//
// # Not supported
//
// Encrypted media, variables (EXT-X-DEFINE), hints of byte ranges, renditions (EXT-X-MEDIA): the player plays one Media Playlist.
//
// # Must not know
//
// It starts no goroutine, and waits by timers and contexts only, so that it runs in a bubble of testing/synctest. A History, a Player and a Units belong
// to one goroutine each; what they return is the caller's, and not to be changed.
//
// # Specifications
//
//   - draft-pantos-hls-rfc8216bis-22 (HTTP Live Streaming 2nd Edition), whose sections are those of the rules; RFC 8216
//   - RFC 6381 (codecs), RFC 9110 (content codings)
//   - ISO/IEC 14496-12, 8.8 (fragments); ISO/IEC 13818-1, 2.4 (packets and tables)
package m3u8
