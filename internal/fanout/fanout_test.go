package fanout

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
)

func TestEverybodyHearsEverythingInOrder(t *testing.T) {
	var topic Topic[int]
	first, second := topic.Listen(t.Context(), 8), topic.Listen(t.Context(), 8)
	for i := range 5 {
		topic.Tell(i)
	}
	for name, heard := range map[string]func(func(int, int) bool){"first": first, "second": second} {
		var got []int
		for v, missed := range heard {
			if missed != 0 {
				t.Errorf("%s missed %d", name, missed)
			}
			if got = append(got, v); len(got) == 5 {
				break
			}
		}
		if want := []int{0, 1, 2, 3, 4}; !slices.Equal(got, want) {
			t.Errorf("%s heard %v, want %v", name, got, want)
		}
	}
	if n := len(topic.listeners); n != 0 {
		t.Errorf("%d listeners are left after both have gone", n)
	}
}

func TestSlowListenerLosesTheOldestAndLearnsIt(t *testing.T) {
	var topic Topic[int]
	heard := topic.Listen(t.Context(), 3)
	for i := range 10 {
		topic.Tell(i) // would block here, if it waited
	}
	var got []int
	lost := 0
	for v, missed := range heard {
		lost += missed
		if got = append(got, v); len(got) == 3 {
			break
		}
	}
	if want := []int{7, 8, 9}; !slices.Equal(got, want) || lost != 7 {
		t.Errorf("heard %v and lost %d, want %v and 7", got, lost, want)
	}
}

func TestEndOfContextEndsListening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var topic Topic[int]
		ctx, cancel := context.WithCancel(t.Context())
		never := topic.Listen(ctx, 1)
		heard, done := topic.Listen(ctx, 1), make(chan int)
		go func() {
			n := 0
			for range heard {
				n++
			}
			done <- n
		}()
		topic.Tell(1)
		synctest.Wait()
		cancel()
		if n := <-done; n != 1 {
			t.Errorf("heard %d, want 1", n)
		}
		synctest.Wait()
		if n := len(topic.listeners); n != 0 {
			t.Errorf("%d listeners are left, one of them never ranged over (%v)", n, never != nil)
		}
	})
}

func TestCloseEndsListening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var topic Topic[int]
		waits, late, done := topic.Listen(t.Context(), 4), topic.Listen(t.Context(), 4), make(chan struct{})
		go func() {
			defer close(done)
			for range waits {
			}
		}()
		topic.Tell(7)
		synctest.Wait()
		topic.Close()
		<-done
		var got []int
		for v := range late { // what was told before is heard
			got = append(got, v)
		}
		for v := range topic.Listen(t.Context(), 4) {
			t.Errorf("heard %d of a closed topic", v)
		}
		if !slices.Equal(got, []int{7}) || len(topic.listeners) != 0 {
			t.Errorf("heard %v, want 7; %d listeners are left", got, len(topic.listeners))
		}
	})
}
