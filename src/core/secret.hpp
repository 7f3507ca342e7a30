// A secret in memory: on pages of its own, which core dumps leave out and which
// are wiped before they go back. It cannot be copied, printed or put into a
// std::string by accident: whoever sends it hands view() to the system call.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

#include "vnvme/result.hpp"

namespace vnvme {

class Secret {
 public:
  Secret() = default;
  ~Secret() { wipe(); }
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;

  // Room for so many bytes, all zero. Errc::io when the system has no page left.
  static Result<Secret> with_room(std::size_t bytes);

  [[nodiscard]] std::string_view view() const { return {data_, size_}; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  // The whole room, to write into; set_size() says how much of it is the secret.
  [[nodiscard]] std::span<char> room() { return {data_, capacity_}; }
  void set_size(std::size_t bytes) { size_ = bytes < capacity_ ? bytes : capacity_; }
  // Behind what is there already; as much of it as there is room for.
  void append(std::string_view text);

 private:
  void wipe();
  char* data_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace vnvme
