package framing

import "testing"

// The ring keeps the latest frames within its bounds, and gives each back once.
func TestResendRing(t *testing.T) {
	var r Ring
	for seq := uint64(1); seq <= 3*resendFrames; seq++ {
		r.Keep(seq, 1, []byte{byte(seq), byte(seq >> 8)})
	}
	if _, _, ok := r.Take(2 * resendFrames); ok {
		t.Error("a frame too old was kept")
	}
	last := uint64(3 * resendFrames)
	if n, b, ok := r.Take(last); !ok || n != 1 || b[0] != byte(last&0xff) {
		t.Errorf("the last frame: %d %v %v", n, b, ok)
	}
	if _, _, ok := r.Take(last); ok {
		t.Error("a frame was given twice")
	}
	for _, never := range []uint64{0, last + 1, 1 << 60} {
		if _, _, ok := r.Take(never); ok {
			t.Errorf("frame %d was never kept", never)
		}
	}
	big := make([]byte, resendBytes/2+1)
	for range 5 {
		last++
		r.Keep(last, 2, big)
		if r.bytes > resendBytes {
			t.Fatalf("%d bytes kept", r.bytes)
		}
	}
	last++
	r.Keep(last, 1, make([]byte, resendBytes+1))
	if _, _, ok := r.Take(last); ok || r.bytes != 0 {
		t.Errorf("a frame above the bound: kept %v, %d bytes", ok, r.bytes)
	}
}
