// Text without allocation: a bounded builder over memory that the caller owns.
// The front-end links no library, so that starting it costs what `true` costs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace vnvme::plugin {

// What does not fit is dropped as a whole piece, and overflow() says so.
class Text {
 public:
  Text(char* memory, std::size_t capacity) : begin_(memory), capacity_(capacity) {}

  Text& add(std::string_view s) {
    if (s.size() > capacity_ - size_) {
      overflow_ = true;
      return *this;
    }
    if (!s.empty()) std::memcpy(begin_ + size_, s.data(), s.size());
    size_ += s.size();
    return *this;
  }
  Text& add_number(std::uint64_t n);
  // The inside of a JSON string: escaped, invalid UTF-8 replaced.
  Text& add_escaped(std::string_view s);
  Text& add_quoted(std::string_view s) { return add("\"").add_escaped(s).add("\""); }

  [[nodiscard]] std::string_view view() const { return {begin_, size_}; }
  [[nodiscard]] bool overflow() const { return overflow_; }
  void clear() { size_ = 0, overflow_ = false; }

 private:
  char* begin_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  bool overflow_ = false;
};

template <std::size_t N>
struct TextBuffer : Text {
  TextBuffer() : Text(memory, N) {}
  TextBuffer(const TextBuffer&) = delete;
  TextBuffer& operator=(const TextBuffer&) = delete;
  char memory[N];  // not cleared: most of it is never touched
};

}  // namespace vnvme::plugin
