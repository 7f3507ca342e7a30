// Cuts JSON text into pieces without building anything. A JSON-RPC stream has
// no framing, so the end of an answer is where its outermost brace closes.
// Everything is bounded (P4): bytes, depth, bytes of one string.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "vnvme/result.hpp"

namespace vnvme::rpc {

struct ScanLimits {
  std::size_t frame_bytes = 32u << 20;  // SPDK's own limit of an answer (lib/jsonrpc, 32 MiB)
  std::size_t string_bytes = 1u << 20;
  std::uint32_t depth = 64;  // at most 64: the kinds of open brackets are one machine word
};

// Follows the brackets and strings of one JSON value, a byte at a time.
class Brackets {
 public:
  enum class Step { more, end, bad };
  explicit Brackets(const ScanLimits& limits) : limits_(&limits) {}
  Step step(char c);
  // How many bytes at the beginning of `text` are the plain inside of a string: they are taken at once, the
  // next one is for step(). Most of an answer are such bytes, and each is scanned several times.
  std::size_t skip_plain(std::string_view text);
  [[nodiscard]] std::uint32_t depth() const { return depth_; }
  [[nodiscard]] const char* why() const { return why_; }

 private:
  Step string_byte(unsigned char c);
  Step open(bool object);
  Step close(bool object);
  Step refuse(const char* why);
  const ScanLimits* limits_;
  std::uint64_t kinds_ = 0;  // bit n: the bracket at depth n is an object's
  std::uint32_t depth_ = 0;
  std::size_t string_length_ = 0;
  bool in_string_ = false, escaped_ = false;
  const char* why_ = "";
};

// Frames out of a byte stream. A frame is one JSON object. After an error the
// stream is lost: nobody can tell where the next frame begins.
class FrameScanner {
 public:
  explicit FrameScanner(ScanLimits limits = {});
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next complete frame, or nothing yet.
  Result<std::optional<std::string>> next();
  [[nodiscard]] std::size_t buffered() const { return buffer_.size() - begin_; }
  FrameScanner(const FrameScanner&) = delete;
  FrameScanner& operator=(const FrameScanner&) = delete;

 private:
  std::string take(std::size_t end);
  ScanLimits limits_;
  Brackets brackets_;
  std::string buffer_;
  std::size_t begin_ = 0;    // where the frame being scanned begins
  std::size_t scanned_ = 0;  // bytes of the buffer that were looked at
  bool broken_ = false;
};

using MemberFn = std::function<Result<void>(std::string_view key, std::string_view value)>;
using ElementFn = std::function<Result<void>(std::string_view value)>;

// Calls `each` with every member of an object, or element of an array, as text. Keys come as they are written
// (escapes are not undone). Stops at the first error.
Result<void> each_member(std::string_view object, const MemberFn& each, const ScanLimits& limits = {});
Result<void> each_element(std::string_view array, const ElementFn& each, const ScanLimits& limits = {});

}  // namespace vnvme::rpc
