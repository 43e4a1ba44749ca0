package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// clip is a short recording that ffmpeg makes, once per run. Picture and sound are the same in every run.
type clip struct {
	name string
	args string // of ffmpeg, after the inputs
	file string // name, which says the container
}

// seconds is how long the clips are.
const seconds = 4

// x264 makes 25 pictures a second with a key picture each second.
const x264 = "-c:v libx264 -preset veryfast -threads 1 -g 25 -keyint_min 25 -sc_threshold 0 -pix_fmt yuv420p -b:v 200k "

var (
	clipAAC   = clip{"H.264 with B-frames, AAC", x264 + "-bf 2 -c:a aac -b:a 64k", "aac.flv"}
	clipMP3   = clip{"H.264, MP3", x264 + "-bf 0 -c:a libmp3lame -b:a 64k", "mp3.flv"}
	clipVideo = clip{"H.264 alone", x264 + "-bf 0 -an", "video.flv"}
	clipAudio = clip{"AAC alone", "-vn -c:a aac -b:a 64k", "audio.flv"}
	clipLarge = clip{"H.264, larger", x264 + "-bf 2 -s 256x144 -c:a aac -b:a 64k", "large.flv"}
	clipGOP3  = clip{"H.264 with a GOP of 3 s, AAC", strings.ReplaceAll(x264, " 25 ", " 75 ") + "-bf 2 -c:a aac -b:a 64k", "gop3.flv"}
)

// makers makes each file once, even when tests ask for it at the same time.
var makers sync.Map // of file name to *sync.Once

// make returns the path of the clip.
func (c clip) make(t testing.TB) string {
	t.Helper()
	path := filepath.Join(work, c.file)
	once, _ := makers.LoadOrStore(c.file, &sync.Once{})
	once.(*sync.Once).Do(func() {
		args := append([]string{
			"-v", "error", "-y", "-fflags", "+bitexact",
			"-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25",
			"-f", "lavfi", "-i", "aevalsrc=0.3*sin(440*2*PI*t)+0.1*sin(1234*2*PI*t*t):s=44100",
			"-t", fmt.Sprint(seconds), "-flags", "+bitexact",
		}, strings.Fields(c.args)...)
		run(t, "ffmpeg", append(args, path+".part"+filepath.Ext(path))...)
		if err := os.Rename(path+".part"+filepath.Ext(path), path); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("clip %s could not be made: %v", c.name, err)
	}
	return path
}

// mediaClip makes a clip of one elementary stream.
func mediaClip(file, args string) clip { return clip{file, args, file} }
