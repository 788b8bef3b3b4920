package intake

import (
	"context"
	"io"
	"os"

	"dmarcd/internal/api"
	"dmarcd/internal/text"
)

// Bounds of one request.
const (
	uploadUnits  = 100
	ingestOctets = 1 << 20
)

// UploadBatch is the content of one request. A file may continue in the next.
type UploadBatch struct {
	Units []api.IngestUnit
	Files []*UploadedFile // of each unit
	Ended []*UploadedFile // those that have no more units
	Err   error           // what ends the reading
}

// UploadedFile is a file and its outcome.
type UploadedFile struct {
	Name     string
	Outcomes []api.IngestOutcome
}

// CountFiles counts the files to read, and finds missing paths.
func CountFiles(paths []string) (n int64, err error) {
	for _, path := range paths {
		if path == "-" {
			n++
			continue
		}
		err := Files(path, func(string) error {
			n++
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// Upload reads files, folders and other inputs of ingest, "-" for stdin, into batches for
// api.AnalysisIngest, until ctx is done. Most is the limit on a mail in octets. The caller takes
// batches until the channel is closed.
func Upload(ctx context.Context, most int64, stdin io.Reader, paths []string) <-chan *UploadBatch {
	r := &uploadReader{ctx: ctx, most: most, stdin: stdin, batches: make(chan *UploadBatch, 1)}
	go r.read(paths)
	return r.batches
}

// uploadReader reads files into batches.
type uploadReader struct {
	ctx     context.Context
	most    int64
	stdin   io.Reader
	batches chan *UploadBatch
	batch   *UploadBatch
	octets  int
}

func (r *uploadReader) read(paths []string) {
	defer close(r.batches)
	r.batch = &UploadBatch{}
	for _, path := range paths {
		var err error
		if path == "-" {
			err = r.file(path, r.stdin)
		} else {
			err = Files(path, r.path)
		}
		if err != nil {
			r.batch.Err = err
			break
		}
	}
	_ = r.flush()
}

// path reads one file. A file that cannot be opened is reported like one that cannot be read.
func (r *uploadReader) path(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return r.bad(&UploadedFile{Name: path}, err)
	}
	defer in.Close() //nolint:errcheck // opened for reading only
	return r.file(path, in)
}

func (r *uploadReader) bad(f *UploadedFile, err error) error {
	f.Outcomes = append(f.Outcomes, api.IngestOutcome{Accepted: api.AcceptedNo, Reason: text.Error(err), Notes: []string{}})
	r.batch.Ended = append(r.batch.Ended, f)
	return r.ctx.Err()
}

func (r *uploadReader) file(path string, in io.Reader) error {
	f := &UploadedFile{Name: path}
	err := Split(path, in, r.most, func(u Unit) error {
		r.batch.Units = append(r.batch.Units, api.IngestUnit{Name: u.Name(), Mail: u.Mail, Bytes: u.Bytes, TooLarge: u.TooLarge, Body: u.Body})
		r.batch.Files = append(r.batch.Files, f)
		if r.octets += len(u.Body); r.octets >= ingestOctets || len(r.batch.Units) >= uploadUnits {
			return r.flush()
		}
		return nil
	})
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if err != nil {
		return r.bad(f, err)
	}
	r.batch.Ended = append(r.batch.Ended, f)
	return nil
}

func (r *uploadReader) flush() error {
	select {
	case r.batches <- r.batch:
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
	r.batch, r.octets = &UploadBatch{}, 0
	return nil
}
