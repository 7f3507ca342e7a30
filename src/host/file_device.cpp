#include "host/file_device.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "host/block_devices.hpp"
#include "host/blocking.hpp"
#include "host/text_file.hpp"

namespace vnvme::host {
namespace {

// One ioctl zeroes at most so much, so that the deadline is looked at between two.
constexpr std::uint64_t kPiece = 64u << 20;
constexpr std::size_t kZeroes = 1u << 20;

struct OpenFile {
  OpenFile(std::string p, int f) : path(std::move(p)), fd(f) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(fd); }
  std::string path;
  int fd;
  bool block = false;
  Bytes size;
};

Result<void> write_all(const OpenFile& file, std::uint64_t offset, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = ::pwrite(file.fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      Error e = errno_error("write to", file.path, n < 0 ? errno : EIO);
      e.outcome = Outcome::unknown;
      return fail(std::move(e));
    }
    data.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<std::string> read_all(const OpenFile& file, std::uint64_t offset, std::size_t length) {
  std::string data(length, '\0');
  std::size_t have = 0;
  while (have < length) {
    ssize_t n = ::pread(file.fd, data.data() + have, length - have, static_cast<off_t>(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(errno_error("read from", file.path, n < 0 ? errno : EIO));
    have += static_cast<std::size_t>(n);
  }
  return data;
}

Result<void> zero_by_hand(const OpenFile& file, std::uint64_t offset, std::uint64_t length) {
  const std::string zeroes(static_cast<std::size_t>(std::min<std::uint64_t>(length, kZeroes)), '\0');
  while (length > 0) {
    auto now = std::min<std::uint64_t>(length, zeroes.size());
    VNVME_TRY(write_all(file, offset, std::string_view(zeroes).substr(0, static_cast<std::size_t>(now))));
    offset += now;
    length -= now;
  }
  return {};
}

bool not_offered(int number) {
  return number == EOPNOTSUPP || number == ENOTTY || number == ENOSYS || number == EINVAL;
}

Result<void> zero_piece(const OpenFile& file, std::uint64_t offset, std::uint64_t length) {
  int rc;
  if (file.block) {
    std::uint64_t range[2] = {offset, length};
    rc = ::ioctl(file.fd, BLKZEROOUT, range);
  } else {
    rc = ::fallocate(file.fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(length));
  }
  if (rc == 0) return {};
  if (not_offered(errno)) return zero_by_hand(file, offset, length);  // also ranges that are no whole sectors
  return fail(errno_error("zero", file.path, errno));
}

Result<void> discard_piece(const OpenFile& file, std::uint64_t offset, std::uint64_t length) {
  int rc;
  if (file.block) {
    std::uint64_t range[2] = {offset, length};
    rc = ::ioctl(file.fd, BLKDISCARD, range);
  } else {
    rc = ::fallocate(file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(length));
  }
  if (rc == 0) return {};
  if (not_offered(errno)) return fail(Errc::not_supported, file.path + " cannot discard");
  return fail(errno_error("discard on", file.path, errno));
}

class FileDevice final : public BlockDevice {
 public:
  FileDevice(boost::asio::thread_pool& pool, std::shared_ptr<OpenFile> file)
      : pool_(pool), file_(std::move(file)) {}

  [[nodiscard]] Bytes size() const override { return file_->size; }

  Task<Result<std::string>> read(std::uint64_t offset, std::size_t length, Deadline deadline) override {
    auto range = check_range(file_->path, offset, length, file_->size, kMaxTransfer);
    if (!range) co_return fail(std::move(range.error()));
    auto job = [file = file_, offset, length] { return read_all(*file, offset, length); };
    co_return co_await run_blocking<std::string>(pool_, deadline, "reading " + file_->path, std::move(job));
  }

  Task<Result<void>> write(std::uint64_t offset, std::string data, Deadline deadline) override {
    auto range = check_range(file_->path, offset, data.size(), file_->size, kMaxTransfer);
    if (!range) co_return range;
    auto job = [file = file_, offset, data = std::move(data)] { return write_all(*file, offset, data); };
    co_return co_await run_blocking<void>(pool_, deadline, "writing " + file_->path, std::move(job));
  }

  Task<Result<void>> write_zeroes(std::uint64_t offset, std::uint64_t length, Deadline deadline) override {
    return in_pieces(offset, length, deadline, "zeroing ", zero_piece);
  }
  Task<Result<void>> discard(std::uint64_t offset, std::uint64_t length, Deadline deadline) override {
    return in_pieces(offset, length, deadline, "discarding on ", discard_piece);
  }

  Task<Result<void>> flush(Deadline deadline) override {
    auto job = [file = file_]() -> Result<void> {
      if (::fdatasync(file->fd) != 0) return fail(errno_error("flush", file->path, errno));
      return {};
    };
    co_return co_await run_blocking<void>(pool_, deadline, "flushing " + file_->path, std::move(job));
  }

 private:
  using Piece = Result<void> (*)(const OpenFile&, std::uint64_t, std::uint64_t);

  Task<Result<void>> in_pieces(std::uint64_t offset, std::uint64_t length, Deadline deadline,
                               std::string what, Piece piece) {
    auto range = check_range(file_->path, offset, length, file_->size, UINT64_MAX);
    if (!range) co_return range;
    what += file_->path;
    while (length > 0) {
      const std::uint64_t now = std::min(length, kPiece);
      auto job = [file = file_, offset, now, piece] { return piece(*file, offset, now); };
      auto done = co_await run_blocking<void>(pool_, deadline, what, std::move(job));
      if (!done) co_return done;
      offset += now;
      length -= now;
    }
    co_return Result<void>{};
  }

  boost::asio::thread_pool& pool_;
  std::shared_ptr<OpenFile> file_;  // a call that outlives its deadline still needs the descriptor
};

Result<std::shared_ptr<OpenFile>> open_now(const std::string& path) {
  int fd;
  do fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return fail(errno_error("open", path, errno));
  auto file = std::make_shared<OpenFile>(path, fd);
  struct stat st {};
  if (::fstat(fd, &st) != 0) return fail(errno_error("look at", path, errno));
  file->block = S_ISBLK(st.st_mode);
  if (file->block) {
    std::uint64_t bytes = 0;
    if (::ioctl(fd, BLKGETSIZE64, &bytes) != 0) return fail(errno_error("ask the size of", path, errno));
    file->size.value = bytes;
  } else {
    file->size.value = static_cast<std::uint64_t>(st.st_size);
  }
  return file;
}

}  // namespace

Task<Result<std::unique_ptr<BlockDevice>>> open_file(boost::asio::thread_pool& pool, std::string path,
                                                     Deadline deadline) {
  auto job = [path] { return open_now(path); };
  auto file =
      co_await run_blocking<std::shared_ptr<OpenFile>>(pool, deadline, "opening " + path, std::move(job));
  if (!file) co_return fail(std::move(file.error()));
  co_return std::make_unique<FileDevice>(pool, std::move(*file));
}

}  // namespace vnvme::host
