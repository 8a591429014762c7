// Command pack does what cannot be left out to build and push the image of P6. It hashes
// the file, for that decides whether anything is built; it writes it as an archive that
// is compressed by all processors, makes the two digests that an image needs of a layer,
// keeps the layer in a file, for what is built on it, and uploads it. The file is not
// copied to where a RUN could read it, and no manifest is made. So there is no image
// afterwards; its cost is a floor.
package main

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"

	"github.com/klauspost/pgzip"
)

func main() {
	if err := pack(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// pack pushes a file as a layer, which it keeps, into a repository, which is
// http://HOST/v2/NAME.
func pack(ctx context.Context, file, keep, repository string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.Copy(sha256.New(), in); err != nil {
		return err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	kept, err := os.Create(keep)
	if err != nil {
		return err
	}
	defer kept.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	answer, err := send(ctx, http.MethodPost, repository+"/blobs/uploads/", nil)
	if err != nil {
		return err
	}
	from, to := io.Pipe()
	packed, unpacked := sha256.New(), sha256.New()
	go func() {
		zipped, err := pgzip.NewWriterLevel(io.MultiWriter(to, packed, kept), 5)
		if err == nil {
			err = zipped.SetConcurrency(1<<20, runtime.GOMAXPROCS(0)+1)
		}
		if err == nil {
			archive := tar.NewWriter(io.MultiWriter(zipped, unpacked))
			err = archive.WriteHeader(&tar.Header{Name: "data", Mode: 0o644, Size: info.Size()})
			if err == nil {
				_, err = io.Copy(archive, in)
			}
			err = errors.Join(err, archive.Close(), zipped.Close())
		}
		_ = to.CloseWithError(err)
	}()
	place, err := answer.Location()
	if err != nil {
		return err
	}
	// The digest is known when all has been sent: first the bytes, then their name.
	if answer, err = send(ctx, http.MethodPatch, place.String(), from); err != nil {
		return err
	}
	if place, err = answer.Location(); err != nil {
		return err
	}
	query := place.Query()
	query.Set("digest", fmt.Sprintf("sha256:%x", packed.Sum(nil)))
	place.RawQuery = query.Encode()
	_, err = send(ctx, http.MethodPut, place.String(), nil)
	return err
}

func send(ctx context.Context, method, to string, body io.Reader) (*http.Response, error) {
	ask, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return nil, err
	}
	ask.Header.Set("Content-Type", "application/octet-stream")
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	if answer.StatusCode >= 300 {
		err = errors.Join(err, fmt.Errorf("%s %s: %s: %s", method, to, answer.Status, text))
	}
	return answer, errors.Join(err, answer.Body.Close())
}
