package replay

import (
	"fmt"
	"testing"
)

func TestAgendaKeepsOrder(t *testing.T) {
	var a Agenda[int64, int]
	for i, at := range []int64{5, 1, 5, 3, 1, 9, 5, 2} {
		a.Add(at, &i)
	}
	var got []int
	var task int
	for {
		if _, ok := a.Next(&task); !ok {
			break
		}
		got = append(got, task)
		if len(got) == 3 {
			a.Add(5, &task)
		}
	}
	if s := fmt.Sprint(got); s != "[1 4 7 3 0 2 6 7 5]" {
		t.Errorf("order %s", s)
	}
}
