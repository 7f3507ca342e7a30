#include "dpusim/block.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

namespace vnvme::sim {

std::unique_ptr<FileDevice> FileDevice::open(const std::string& path, std::uint64_t size, bool unmap_zeroes,
                                             int* error) {
  *error = 0;
  int fd = path.empty() ? ::memfd_create("vnvme-dpusim", MFD_CLOEXEC)
                        : ::open(path.c_str(), O_RDWR | O_CLOEXEC | (size > 0 ? O_CREAT : 0), 0600);
  struct stat st {};
  if (fd < 0 || ::fstat(fd, &st) != 0) {
    *error = errno;
    if (fd >= 0) ::close(fd);
    return nullptr;
  }
  auto now = static_cast<std::uint64_t>(st.st_size);
  if (size > now && ::ftruncate(fd, static_cast<off_t>(size)) != 0) {
    *error = errno;
    ::close(fd);
    return nullptr;
  }
  return std::unique_ptr<FileDevice>(new FileDevice(fd, size > 0 ? size : now, unmap_zeroes));
}

FileDevice::~FileDevice() {
  ::close(fd_);
}

int FileDevice::read(std::uint64_t offset, std::span<char> into) {
  if (!inside(offset, into.size())) return EINVAL;
  while (!into.empty()) {
    auto n = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) {  // the file was cut behind our back: a hole reads as zeros
      std::fill(into.begin(), into.end(), '\0');
      return 0;
    }
    offset += static_cast<std::uint64_t>(n);
    into = into.subspan(static_cast<std::size_t>(n));
  }
  return 0;
}

int FileDevice::write(std::uint64_t offset, std::span<const char> from) {
  if (!inside(offset, from.size())) return EINVAL;
  while (!from.empty()) {
    auto n = ::pwrite(fd_, from.data(), from.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    offset += static_cast<std::uint64_t>(n);
    from = from.subspan(static_cast<std::size_t>(n));
  }
  return 0;
}

int FileDevice::zero(std::uint64_t offset, std::uint64_t length) {
  if (!inside(offset, length)) return EINVAL;
  if (length == 0) return 0;
  if (::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(length)) == 0)
    return 0;
  std::vector<char> zeros(std::min<std::uint64_t>(length, 1u << 20), '\0');  // filesystems without holes
  for (std::uint64_t done = 0; done < length; done += zeros.size()) {
    auto part = std::min<std::uint64_t>(zeros.size(), length - done);
    if (int e = write(offset + done, std::span(zeros.data(), part)); e != 0) return e;
  }
  return 0;
}

int FileDevice::unmap(std::uint64_t offset, std::uint64_t length) {
  return unmap_zeroes_ ? zero(offset, length) : inside(offset, length) ? 0 : EINVAL;
}

void FileDevice::rescan() {
  struct stat st {};
  if (::fstat(fd_, &st) == 0) size_ = static_cast<std::uint64_t>(st.st_size);
}

RaidDevice::RaidDevice(Level level, std::uint64_t strip, std::uint64_t offset,
                       std::vector<BlockDevice*> bases, std::vector<std::uint64_t> data_sizes)
    : level_(level),
      strip_(strip),
      data_offset_(offset),
      bases_(std::move(bases)),
      data_sizes_(std::move(data_sizes)) {
  auto least = *std::min_element(data_sizes_.begin(), data_sizes_.end());
  auto count = static_cast<std::uint64_t>(data_sizes_.size());
  switch (level_) {
    case Level::raid1:
      size_ = least;
      break;
    case Level::raid0:
      size_ = least / strip_ * strip_ * count;
      break;
    case Level::raid5f:
      size_ = least / strip_ * strip_ * (count - 1);
      break;
    case Level::concat:
      for (auto& s : data_sizes_) s = s / strip_ * strip_;
      size_ = std::accumulate(data_sizes_.begin(), data_sizes_.end(), std::uint64_t{0});
      break;
  }
}

// The part of the range that lies in one piece on one base. Bounded by the caller's range check.
RaidDevice::Piece RaidDevice::piece(std::uint64_t offset, std::uint64_t length) const {
  if (level_ == Level::raid1) return {0, data_offset_ + offset, length};
  if (level_ == Level::concat) {
    std::size_t base = 0;
    while (base + 1 < data_sizes_.size() && offset >= data_sizes_[base]) offset -= data_sizes_[base++];
    return {base, data_offset_ + offset, std::min(length, data_sizes_[base] - offset)};
  }
  auto count = bases_.size(), wide = level_ == Level::raid0 ? count : count - 1;
  auto strip = offset / strip_, row = strip / wide, column = strip % wide, inner = offset % strip_;
  if (level_ == Level::raid5f && column >= count - 1 - row % count)
    ++column;  // the row's parity strip is jumped over
  return {static_cast<std::size_t>(column), data_offset_ + row * strip_ + inner,
          std::min(length, strip_ - inner)};
}

template <class F>
int RaidDevice::each(std::uint64_t offset, std::uint64_t length, bool all_mirrors, F act) {
  if (!inside(offset, length)) return EINVAL;
  for (std::uint64_t done = 0; done < length;) {
    auto p = piece(offset + done, length - done);
    bool served = false;
    for (std::size_t i = 0; i < bases_.size(); ++i) {
      bool meant = level_ == Level::raid1 ? bases_[i] != nullptr && (all_mirrors || !served) : i == p.base;
      if (!meant) continue;
      if (bases_[i] == nullptr) return EIO;
      if (int e = act(*bases_[i], p.offset, done, p.length); e != 0) return e;
      served = true;
    }
    if (!served) return EIO;
    done += p.length;
  }
  return 0;
}

int RaidDevice::read(std::uint64_t offset, std::span<char> into) {
  return each(offset, into.size(), false,
              [&into](BlockDevice& b, std::uint64_t at, std::uint64_t from, std::uint64_t n) {
                return b.read(at, into.subspan(from, n));
              });
}
int RaidDevice::write(std::uint64_t offset, std::span<const char> data) {
  return each(offset, data.size(), true,
              [&data](BlockDevice& b, std::uint64_t at, std::uint64_t from, std::uint64_t n) {
                return b.write(at, data.subspan(from, n));
              });
}
int RaidDevice::zero(std::uint64_t offset, std::uint64_t length) {
  return each(offset, length, true,
              [](BlockDevice& b, std::uint64_t at, std::uint64_t, std::uint64_t n) { return b.zero(at, n); });
}

int RaidDevice::rebuild(std::size_t slot) {
  std::vector<char> piece(1u << 20), zeros(1u << 20, '\0');
  BlockDevice* target = bases_[slot];
  bases_[slot] = nullptr;
  int error = 0;
  for (std::uint64_t at = 0; at < size_ && error == 0; at += piece.size()) {
    auto part = std::span(piece).first(std::min<std::uint64_t>(piece.size(), size_ - at));
    error = read(at, part);
    bool empty = std::memcmp(part.data(), zeros.data(), part.size()) == 0;
    if (error == 0)
      error = empty ? target->zero(data_offset_ + at, part.size()) : target->write(data_offset_ + at, part);
  }
  bases_[slot] = target;
  return error;
}

}  // namespace vnvme::sim
