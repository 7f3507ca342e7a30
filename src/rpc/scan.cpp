#include "rpc/scan.hpp"

#include <algorithm>

namespace vnvme::rpc {
namespace {

bool space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size() && space(text[at])) ++at;
  return at;
}

Result<void> bad(const std::string& why) {
  return fail(Errc::protocol, "not JSON-RPC: " + why);
}

// Where the value that begins at `at` ends (one past it); npos when it does not end or is malformed.
std::size_t value_end(std::string_view text, std::size_t at, const ScanLimits& limits) {
  if (at >= text.size()) return std::string_view::npos;
  char first = text[at];
  if (first == '{' || first == '[' || first == '"') {
    Brackets brackets(limits);
    for (auto i = at;; ++i) {
      i += brackets.skip_plain(text.substr(i));
      if (i == text.size()) return std::string_view::npos;
      auto step = brackets.step(text[i]);
      if (step == Brackets::Step::bad) return std::string_view::npos;
      if (step == Brackets::Step::end) return i + 1;
    }
  }
  auto end = text.find_first_of(" \t\r\n,]}", at);
  if (end == std::string_view::npos) end = text.size();
  return end == at ? std::string_view::npos : end;
}

// After a value: the separator's position, or an error. *last tells whether the container ends there.
Result<std::size_t> separator(std::string_view text, std::size_t at, char closing, bool* last) {
  at = skip_space(text, at);
  if (at >= text.size() || (text[at] != ',' && text[at] != closing))
    return fail(Errc::protocol, "not JSON-RPC: no separator after a value");
  *last = text[at] == closing;
  return at + 1;
}

}  // namespace

Brackets::Step Brackets::refuse(const char* why) {
  why_ = why;
  return Step::bad;
}

std::size_t Brackets::skip_plain(std::string_view text) {
  if (!in_string_ || escaped_) return 0;
  // Never beyond the limit: the byte that breaks it is step()'s to refuse.
  auto room = limits_->string_bytes + 1 - string_length_;
  auto most = std::min(text.size(), room);
  std::size_t n = 0;
  while (n < most && text[n] != '"' && text[n] != '\\' && static_cast<unsigned char>(text[n]) >= 0x20) ++n;
  string_length_ += n;
  return n;
}

Brackets::Step Brackets::string_byte(unsigned char c) {
  if (c < 0x20) return refuse("a control character in a string");
  if (++string_length_ > limits_->string_bytes + 1) return refuse("a string longer than the limit");
  if (escaped_) {
    escaped_ = false;
  } else if (c == '\\') {
    escaped_ = true;
  } else if (c == '"') {
    in_string_ = false;
    return depth_ == 0 ? Step::end : Step::more;
  }
  return Step::more;
}

Brackets::Step Brackets::open(bool object) {
  if (depth_ >= limits_->depth || depth_ >= 64) return refuse("nested deeper than the limit");
  auto bit = std::uint64_t{1} << depth_++;
  kinds_ = object ? kinds_ | bit : kinds_ & ~bit;
  return Step::more;
}

Brackets::Step Brackets::close(bool object) {
  if (depth_ == 0) return refuse("a bracket too many");
  auto bit = std::uint64_t{1} << --depth_;
  if (((kinds_ & bit) != 0) != object) return refuse("brackets that do not match");
  return depth_ == 0 ? Step::end : Step::more;
}

Brackets::Step Brackets::step(char c) {
  if (in_string_) return string_byte(static_cast<unsigned char>(c));
  switch (c) {
    case '"':
      in_string_ = true;
      string_length_ = 0;
      return Step::more;
    case '{':
      return open(true);
    case '[':
      return open(false);
    case '}':
      return close(true);
    case ']':
      return close(false);
    default:
      break;
  }
  auto byte = static_cast<unsigned char>(c);
  if ((byte < 0x20 && !space(c)) || byte >= 0x7F) return refuse("a byte that JSON has only in strings");
  return Step::more;
}

FrameScanner::FrameScanner(ScanLimits limits) : limits_(limits), brackets_(limits_) {}

std::string FrameScanner::take(std::size_t end) {
  std::string frame;
  if (begin_ == 0 && end == buffer_.size()) {
    frame = std::move(buffer_);
    buffer_.clear();
    begin_ = scanned_ = 0;
  } else {
    frame = buffer_.substr(begin_, end - begin_);
    begin_ = scanned_ = end;
  }
  brackets_ = Brackets(limits_);
  return frame;
}

Result<std::optional<std::string>> FrameScanner::next() {
  auto violation = [this](const std::string& why) {
    broken_ = true;
    return fail(Errc::protocol, "not JSON-RPC: " + why);
  };
  auto too_long = [&violation, this] {
    return violation("an answer of more than " + std::to_string(limits_.frame_bytes) + " bytes");
  };
  if (broken_) return fail(Errc::protocol, "the stream is broken already");
  while (scanned_ < buffer_.size()) {
    scanned_ += brackets_.skip_plain(std::string_view(buffer_).substr(scanned_));
    if (scanned_ - begin_ > limits_.frame_bytes) return too_long();
    if (scanned_ == buffer_.size()) break;
    char c = buffer_[scanned_];
    if (brackets_.depth() == 0) {
      // between frames
      if (space(c)) {
        begin_ = ++scanned_;
        continue;
      }
      if (c != '{') return violation("a frame that is not an object");
    }
    ++scanned_;
    auto step = brackets_.step(c);
    if (step == Brackets::Step::bad) return violation(brackets_.why());
    if (step == Brackets::Step::end) return take(scanned_);
    if (scanned_ - begin_ > limits_.frame_bytes) return too_long();
  }
  // Frames taken out of the middle leave their bytes behind; drop them once nothing whole is left.
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  return std::optional<std::string>();
}

Result<void> each_member(std::string_view text, const MemberFn& each, const ScanLimits& limits) {
  auto at = skip_space(text, 0);
  if (at >= text.size() || text[at] != '{') return bad("an object was expected");
  at = skip_space(text, at + 1);
  bool last = at < text.size() && text[at] == '}';
  if (last) ++at;
  while (!last) {
    at = skip_space(text, at);
    if (at >= text.size() || text[at] != '"') return bad("a member without a name");
    auto key_end = value_end(text, at, limits);
    if (key_end == std::string_view::npos) return bad("a member's name does not end");
    auto key = text.substr(at + 1, key_end - at - 2);
    at = skip_space(text, key_end);
    if (at >= text.size() || text[at] != ':') return bad("a member without a value");
    at = skip_space(text, at + 1);
    auto end = value_end(text, at, limits);
    if (end == std::string_view::npos) return bad("a value does not end");
    VNVME_TRY(each(key, text.substr(at, end - at)));
    auto next = separator(text, end, '}', &last);
    if (!next) return fail(next.error());
    at = *next;
  }
  if (skip_space(text, at) != text.size()) return bad("text after the object");
  return {};
}

Result<void> each_element(std::string_view text, const ElementFn& each, const ScanLimits& limits) {
  auto at = skip_space(text, 0);
  if (at >= text.size() || text[at] != '[') return bad("an array was expected");
  at = skip_space(text, at + 1);
  bool last = at < text.size() && text[at] == ']';
  if (last) ++at;
  while (!last) {
    at = skip_space(text, at);
    auto end = value_end(text, at, limits);
    if (end == std::string_view::npos) return bad("an element does not end");
    VNVME_TRY(each(text.substr(at, end - at)));
    auto next = separator(text, end, ']', &last);
    if (!next) return fail(next.error());
    at = *next;
  }
  if (skip_space(text, at) != text.size()) return bad("text after the array");
  return {};
}

}  // namespace vnvme::rpc
