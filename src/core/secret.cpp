#include "core/secret.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace vnvme {

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  capacity_ = std::exchange(other.capacity_, 0);
  return *this;
}

Result<Secret> Secret::with_room(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t whole = (bytes + page - 1) / page * page;
  void* pages = ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    return fail(Error{.code = Errc::io,
                      .text = std::string("no memory for a secret: ") + std::strerror(errno),
                      .native = errno});
  // Without this a crash would write it to disk: then there is no secret at all.
  if (::madvise(pages, whole, MADV_DONTDUMP) != 0) {
    Error why{.code = Errc::io,
              .text = std::string("a secret cannot be kept out of core dumps: ") + std::strerror(errno),
              .native = errno};
    ::munmap(pages, whole);
    return fail(std::move(why));
  }
  // Keeps it off the swap where the limit allows; a host without swap loses nothing.
  (void)::mlock(pages, whole);
  Secret made;
  made.data_ = static_cast<char*>(pages);
  made.capacity_ = whole;
  return made;
}

void Secret::append(std::string_view text) {
  auto n = std::min(text.size(), capacity_ - size_);
  std::copy_n(text.data(), n, data_ + size_);
  size_ += n;
}

void Secret::wipe() {
  if (data_ == nullptr) return;
  ::explicit_bzero(data_, capacity_);
  ::munmap(data_, capacity_);
  data_ = nullptr;
  size_ = capacity_ = 0;
}

}  // namespace vnvme
