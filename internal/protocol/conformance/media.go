package conformance

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
)

// codecs plays all that a form carries: each video codec with a sound, each audio codec with a picture, and either alone.
func codecs(s *stage) {
	var video, audio []av.Codec
	for _, c := range s.form.Codecs {
		switch c.Kind() {
		case av.Video:
			video = append(video, c)
		case av.Audio:
			audio = append(audio, c)
		case av.Data:
		}
	}
	var all []sim.Options
	for _, v := range video {
		all = append(all, sim.Options{Video: v, Audio: audio[0], BFrames: 2, Slices: 3}, sim.Options{Video: v})
	}
	for _, a := range audio {
		all = append(all, sim.Options{Video: video[0], Audio: a, BFrames: 1}, sim.Options{Audio: a})
	}
	for i, o := range all {
		o.Origin, o.GOP = byte(i), 10
		name := "live/" + o.Video.String() + "+" + o.Audio.String()
		if o.Video != av.H264 && o.Video != av.H265 {
			o.BFrames = 0
		}
		s.roundTrip(name, o)
	}
}

// roundTrip publishes and plays, or only publishes where nobody can play.
func (s *stage) roundTrip(path string, o sim.Options) {
	s.t.Helper()
	src := s.publish(path, o)
	src.write(3)
	if s.room.Play == nil {
		src.write(60)
	} else {
		v := s.watch(path)
		src.on(60, v)
		v.whole()
		if s.t.Failed() {
			s.t.Fatalf("this was %s, form %s", path, s.form.Name)
		}
		_ = v.play.Conn().Close()
	}
	if err := src.pub.End(); err != nil {
		s.t.Fatalf("%s: end: %v", path, err)
	}
	s.Publishers(0)
	s.Viewers(0)
}

// lateJoiner joins in the middle of a GOP, and gets it from its beginning.
func lateJoiner(s *stage) {
	src := s.publish("live/x", s.usual())
	early := func() *viewer {
		src.write(5)
		return s.watch("live/x")
	}()
	early.until(src)
	for src.enc.Tracks()[0] == nil || src.last < 77 {
		src.write(1)
		early.until(src)
	}
	late := s.watch("live/x")
	if err := late.next(); err != nil {
		s.t.Fatal(err)
	}
	if late.unit.Track.Kind() != av.Video || !late.unit.Key {
		s.t.Errorf("the first unit is %v, key %v", late.unit.Track.Codec, late.unit.Key)
	}
	if back := src.last - late.last[1]; back > 40 {
		s.t.Errorf("begins %d units back, more than a GOP", back)
	}
	src.write(40)
	early.until(src)
	late.until(src)
	early.whole()
	late.whole()
}

// parameterSets change with a key picture, and so does the track at every player, with exactly that picture.
func parameterSets(s *stage) {
	src := s.publish("live/x", s.usual())
	src.write(5)
	v := s.watch("live/x")
	v.until(src)
	for range 3 {
		src.enc.ChangeVideo()
		src.on(40, v) // more than a GOP with its sound
	}
	late := s.watch("live/x")
	late.until(src)
	v.whole()
	late.whole()
}

// lateTrack adds sound to a stream that has been only a picture for 5 s.
func lateTrack(s *stage) {
	switch {
	case s.room.Announced:
		lateForOthers(s)
		return
	case s.room.Told:
		lateEnds(s)
		return
	}
	o := s.usual()
	o.BFrames = 0
	src := s.publish("live/x", sim.Options{Video: o.Video, GOP: o.GOP})
	src.write(5)
	v := s.watch("live/x")
	src.write(120)
	v.until(src)
	sound := sim.New(sim.Options{Audio: av.AAC, Start: 5 * time.Second})
	v.check.PerTrack = true // two encoders count for themselves
	heard := 0
	for i := range 60 {
		u := sound.Next()
		s.sent[[2]uint64{0, uint64(i)}] = *u // the pictures of these numbers have been read
		if err := src.pub.Write(u); err != nil {
			s.t.Fatal(err)
		}
		read := 1
		if i%2 == 1 {
			src.write(1)
			read++
		}
		for range read {
			if err := v.next(); err != nil {
				s.t.Fatalf("after %d units of sound: %v", heard, err)
			}
			if v.unit.Track.Codec == av.AAC {
				heard++
			}
		}
	}
	if heard != 60 {
		s.t.Errorf("%d of 60 units of sound came", heard)
	}
}

// lateForOthers is lateTrack where players are told of all tracks in advance: those who play go on without the sound, and those who
// come have it.
func lateForOthers(s *stage) {
	src, sound, v := s.soundLater()
	sound()
	src.write(20)
	v.until(src)
	v.whole()
	s.hears(src, sound)
}

// lateEnds is lateTrack where those who play are ended when the sound comes. Who comes again has it.
func lateEnds(s *stage) {
	src, sound, v := s.soundLater()
	sound()
	v.ended()
	v.whole()
	s.Viewers(0)
	src.write(20)
	s.hears(src, sound)
}

// soundLater begins to play a stream of pictures, and returns what writes the next unit of sound to it.
func (s *stage) soundLater() (src *source, sound func(), v *viewer) {
	s.t.Helper()
	src, err := s.tryPublishBy(publishInMemory, "live/x", sim.Options{Video: av.H264, GOP: 10})
	if err != nil {
		s.t.Fatal(err)
	}
	src.write(5)
	v = s.watch("live/x")
	src.write(120)
	v.until(src)
	e := sim.New(sim.Options{Audio: av.AAC, Start: 5 * time.Second})
	return src, func() {
		s.t.Helper()
		u := e.Next()
		tag, err := sim.Read(u)
		if err != nil {
			s.t.Fatal(err)
		}
		s.sent[[2]uint64{0, tag.Seq}] = *u // the pictures of these numbers have been read
		if err := src.pub.Write(u); err != nil {
			s.t.Fatal(err)
		}
	}, v
}

// hears fails the test unless a newcomer has pictures and sound.
func (s *stage) hears(src *source, sound func()) {
	s.t.Helper()
	late := s.watch("live/x")
	late.check.PerTrack = true // two encoders count for themselves
	for range 30 {
		sound()
		src.write(1)
	}
	for heard := 0; heard < 30; {
		if err := late.next(); err != nil {
			s.t.Fatalf("after %d units of sound: %v", heard, err)
		}
		if late.unit.Track.Codec == av.AAC {
			heard++
		}
	}
}

// nothingToCarry: who asks for a stream of which the protocol has no place for anything is refused, rather than left waiting for ever.
func nothingToCarry(s *stage) {
	var strange av.Codec
	for _, c := range []av.Codec{av.L16, av.FLAC} {
		if !slices.Contains(s.room.Protocol.Play, c) {
			strange = c
		}
	}
	if strange == 0 {
		s.t.Fatal("the protocol carries everything: this case wants another codec")
	}
	src, err := s.tryPublishBy(publishInMemory, "live/x", sim.Options{Audio: strange})
	if err != nil {
		s.t.Fatal(err)
	}
	src.write(20)
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*patience)
	defer cancel()
	v, err := s.tryPlay(ctx, "live/x")
	if err == nil { // some protocols answer with the first byte
		err = v.next()
	}
	if err == nil {
		s.t.Errorf("%v is played", strange)
	}
	s.Logged("refused to play", hub.ErrUncarried.Error())
	s.Viewers(0)
}

// stampsWrap begins 2 s before a counter of 32 bits in milliseconds wraps.
func stampsWrap(s *stage) {
	o := s.usual()
	o.Start = (1<<32)*time.Millisecond - 2*time.Second
	s.stamps(o, nil)
}

func stampsJump(s *stage) {
	s.stamps(s.usual(), func(u *av.AccessUnit) {
		if u.DTS > 2*time.Second {
			u.DTS, u.PTS = u.DTS+time.Hour, u.PTS+time.Hour
		}
	})
}

func stampsGoBack(s *stage) {
	o := s.usual()
	o.Start = 10 * time.Hour
	s.stamps(o, func(u *av.AccessUnit) {
		if u.DTS > 10*time.Hour+2*time.Second {
			u.DTS, u.PTS = u.DTS-9*time.Hour, u.PTS-9*time.Hour
		}
	})
}

// stampsStandStill (N05): for two seconds all units have the same stamp, and one of fifty sounds is lost. All that was written comes
// at once all the same, and time goes on; afterwards it is what it was.
func stampsStandStill(s *stage) {
	const from, to = 2 * time.Second, 4 * time.Second
	src := s.publish("live/x", s.usual())
	sounds, lost := 0, 0
	src.drops = func(u *av.AccessUnit) bool {
		if u.Track.Kind() != av.Audio {
			return false
		}
		if sounds++; sounds%50 == 0 {
			lost++
			return true
		}
		return false
	}
	src.bend = func(u *av.AccessUnit) {
		if u.DTS >= from && u.DTS < to {
			u.DTS, u.PTS = from, from+u.PTS-u.DTS
		}
	}
	src.write(5)
	v := s.watch("live/x")
	v.loose, v.check.PerTrack = true, true
	v.until(src)
	first, shift := v.unit.PTS, time.Duration(-1)
	for range 300 {
		src.write(1)
		v.until(src)
		written := s.sent[v.last].PTS
		moved := written - (v.unit.PTS - first)
		switch {
		case s.sent[v.last].DTS < to:
		case shift < 0:
			shift = moved
		case (moved - shift).Abs() > 2*s.room.Tick:
			s.t.Fatalf("stamps go on, and are moved by %v, and then by %v", shift, moved)
		}
	}
	if shift < 0 || lost == 0 || v.check.Missing != lost {
		s.t.Errorf("%d units are missing at the player, %d were lost before", v.check.Missing, lost)
	}
}

// silenceAndOn (N05): a publisher says nothing for less than it may, and goes on, with or without the pause in its stamps.
func silenceAndOn(s *stage) {
	const pause = 4 * time.Second
	for name, moved := range map[string]time.Duration{"clock stands": 0, "clock goes on": pause} {
		path := "live/" + strings.ReplaceAll(name, " ", "-")
		src := s.publish(path, s.usual())
		src.write(5)
		v := s.watch(path)
		v.loose = true
		src.on(40, v)
		time.Sleep(pause)
		src.bend = func(u *av.AccessUnit) { u.DTS, u.PTS = u.DTS+moved, u.PTS+moved }
		before := v.unit.DTS
		src.on(1, v)
		if step := v.unit.DTS - before; step > moved+100*time.Millisecond || step < moved-100*time.Millisecond {
			s.t.Errorf("%s: a step of %v", name, step)
		}
		src.on(40, v)
		v.whole()
		if err := src.pub.End(); err != nil {
			s.t.Error(err)
		}
	}
}

// stamps plays with strange stamps. The viewer's checker does not let DTS go back on any track.
func (s *stage) stamps(o sim.Options, bend func(*av.AccessUnit)) {
	s.t.Helper()
	src := s.publish("live/x", o)
	src.bend = bend
	src.write(5)
	v := s.watch("live/x")
	v.loose = bend != nil
	v.until(src)
	first := v.unit.DTS
	src.on(300, v)
	v.whole()
	if took := v.unit.DTS - first; v.room.Behind == 0 && (took < 4*time.Second || took > 6*time.Second) {
		s.t.Errorf("300 units took %v at the player", took)
	}
}
