package lab

import "testing"

func TestQuantile(t *testing.T) {
	for name, test := range map[string]struct {
		sample   []float64
		p50, p99 float64
	}{
		"none":    {nil, 0, 0},
		"one":     {[]float64{7}, 7, 7},
		"four":    {[]float64{4, 1, 3, 2}, 2, 4},
		"hundred": {sequence(100), 50, 99},
	} {
		t.Run(name, func(t *testing.T) {
			if p50, p99 := Quantile(test.sample, 0.5), Quantile(test.sample, 0.99); p50 != test.p50 || p99 != test.p99 {
				t.Errorf("got %v and %v, want %v and %v", p50, p99, test.p50, test.p99)
			}
		})
	}
}

func sequence(n int) []float64 {
	var s []float64
	for i := range n {
		s = append(s, float64(i+1))
	}
	return s
}
