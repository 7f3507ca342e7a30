#include "state/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

namespace vnvme::state {
namespace {

int open_retry(const std::string& path, int flags, mode_t mode) {
  int fd;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

}  // namespace

Error file_error(std::string_view what, const std::string& path, int number) {
  Error e;
  e.code = Errc::io;
  e.text = std::string("cannot ") + std::string(what) + " " + path + ": " +
           std::generic_category().message(number);
  e.step = std::string(what);
  e.native = number;
  return e;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<FileLock> FileLock::take(const std::string& path) {
  FileLock lock;
  lock.fd_ = open_retry(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (lock.fd_ < 0) return fail(file_error("open the lock file", path, errno));
  if (::flock(lock.fd_, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK)
    return fail(Errc::busy,
                "another vnvmed works with this state file (" + path + " is locked): stop that one first");
  return fail(file_error("lock", path, errno));
}

Result<void> make_private(const std::string& path) {
  int fd = open_retry(path, O_RDWR | O_CREAT, 0600);
  if (fd < 0) return fail(file_error("open the state file", path, errno));
  struct stat st {};
  int bad = 0;
  bool seen = ::fstat(fd, &st) == 0;
  if (seen && !S_ISREG(st.st_mode))
    bad = EINVAL;
  else if (!seen || ((st.st_mode & 0777) != 0600 && ::fchmod(fd, 0600) != 0))
    bad = errno;
  ::close(fd);
  if (bad) return fail(file_error("make a private state file of", path, bad));
  return sync_folder_of(path);
}

Result<std::uint64_t> size_of(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0) return static_cast<std::uint64_t>(st.st_size);
  if (errno == ENOENT) return 0;
  return fail(file_error("look at", path, errno));
}

Result<void> sync_file(const std::string& path) {
  int fd = open_retry(path, O_RDONLY, 0);
  if (fd < 0) return fail(file_error("open", path, errno));
  int bad = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (bad) return fail(file_error("sync", path, bad));
  return {};
}

Result<void> sync_folder_of(const std::string& path) {
  auto slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  return sync_file(folder);
}

Result<void> rename_file(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return fail(file_error("rename to", to, errno));
  return {};
}

Result<void> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(file_error("remove", path, errno));
  return {};
}

}  // namespace vnvme::state
