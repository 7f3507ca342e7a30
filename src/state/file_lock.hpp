// One daemon a state file, and the few file-system calls that SQLite leaves to us.
#pragma once
#include <string>

#include "vnvme/result.hpp"

namespace vnvme::state {

class FileLock {
 public:
  FileLock() = default;
  FileLock(FileLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();
  // `busy` when another process (or another store of this one) holds it.
  static Result<FileLock> take(const std::string& path);

 private:
  int fd_ = -1;
};

// Makes the file with mode 0600 when it is absent, and takes the rights of others away when it is there.
Result<void> make_private(const std::string& path);
// Size in bytes; 0 when absent.
Result<std::uint64_t> size_of(const std::string& path);
Result<void> sync_file(const std::string& path);
// The folder that holds the path: makes a new or renamed entry durable.
Result<void> sync_folder_of(const std::string& path);
Result<void> rename_file(const std::string& from, const std::string& to);
// Absent is fine.
Result<void> remove_file(const std::string& path);

Error file_error(std::string_view what, const std::string& path, int number);

}  // namespace vnvme::state
