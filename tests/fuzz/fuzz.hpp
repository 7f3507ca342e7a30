// What every fuzz target needs. A target feeds one decoder, and says what must hold for whatever it accepted.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

// libFuzzer's entry; the replay driver calls it as well.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace vnvme::fuzz {

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Not assert(): it must work in every kind of build.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// The text up to a separator, which is cut off; the rest when there is none.
inline std::string_view cut(std::string_view& rest, char separator) {
  auto at = rest.find(separator);
  auto head = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return head;
}

}  // namespace vnvme::fuzz
