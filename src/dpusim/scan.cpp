#include "dpusim/scan.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace vnvme::sim {
namespace {

enum class Want { value, value_or_end, key, key_or_end, colon, comma_or_end };

class Scanner {
 public:
  Scanner(std::string_view text, std::size_t max_depth, std::size_t max_values)
      : text_(text), max_depth_(max_depth), max_values_(max_values) {}

  Scan run() {
    skip_space();
    out_.begin = at_;
    while (true) {
      skip_space();
      if (at_ >= text_.size()) return give(Scan::State::incomplete);
      auto state = step();
      if (state != Scan::State::incomplete || stuck_) return give(state);
      if (stack_.empty() && finished_) return give(Scan::State::complete);
    }
  }

 private:
  Scan give(Scan::State state) {
    out_.state = state;
    out_.end = at_;
    return out_;
  }
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  bool count() { return ++values_ <= max_values_; }
  [[nodiscard]] bool in_object() const { return !stack_.empty() && stack_.back() == '{'; }

  // One token. "incomplete" means: go on (or, with stuck_, more bytes are needed).
  Scan::State step() {
    char c = text_[at_];
    if ((want_ == Want::key || want_ == Want::key_or_end) && c == '"') return key();
    if (c == '}' || c == ']') return close(c);
    if (want_ == Want::colon) return punctuation(c, ':', Want::value);
    if (want_ == Want::comma_or_end) return punctuation(c, ',', in_object() ? Want::key : Want::value);
    if (want_ != Want::value && want_ != Want::value_or_end) return Scan::State::broken;
    if (c == '{' || c == '[') return open(c);
    return scalar(c);
  }
  Scan::State punctuation(char c, char wanted, Want next) {
    if (c != wanted) return Scan::State::broken;
    ++at_;
    want_ = next;
    return Scan::State::incomplete;
  }
  Scan::State open(char c) {
    if (!count() || stack_.size() >= max_depth_) return Scan::State::broken;
    stack_.push_back(c);
    ++at_;
    want_ = c == '{' ? Want::key_or_end : Want::value_or_end;
    return Scan::State::incomplete;
  }
  Scan::State close(char c) {
    bool allowed =
        want_ == Want::comma_or_end || (c == '}' ? want_ == Want::key_or_end : want_ == Want::value_or_end);
    if (stack_.empty() || stack_.back() != (c == '}' ? '{' : '[') || !allowed || !count())
      return Scan::State::broken;
    stack_.pop_back();
    ++at_;
    value_done();
    return Scan::State::incomplete;
  }
  void value_done() {
    want_ = Want::comma_or_end;
    finished_ = stack_.empty();
  }
  // The raw string between the quotes; moves past it.
  Scan::State string(std::string_view* raw) {
    for (std::size_t i = at_ + 1; i < text_.size(); ++i) {
      auto c = static_cast<unsigned char>(text_[i]);
      if (c == '\\') {
        ++i;
      } else if (c < 0x20) {
        return Scan::State::broken;
      } else if (c == '"') {
        *raw = text_.substr(at_ + 1, i - at_ - 1);
        at_ = i + 1;
        return Scan::State::incomplete;
      }
    }
    stuck_ = true;
    return Scan::State::incomplete;
  }
  Scan::State key() {
    std::string_view raw;
    auto state = string(&raw);
    if (stuck_ || state == Scan::State::broken) return state;
    if (!count()) return Scan::State::broken;
    if (stack_.size() == 1) {
      out_.repeated_member =
          out_.repeated_member || std::find(keys_.begin(), keys_.end(), raw) != keys_.end();
      keys_.emplace_back(raw);
    }
    want_ = Want::colon;
    return Scan::State::incomplete;
  }
  Scan::State scalar(char c) {
    if (!count()) return Scan::State::broken;
    if (c == '"') {
      std::string_view raw;
      auto state = string(&raw);
      if (!stuck_ && state != Scan::State::broken) value_done();
      return state;
    }
    for (std::string_view word : {"true", "false", "null"}) {
      if (word[0] != c) continue;
      auto part = text_.substr(at_, word.size());
      if (word.substr(0, part.size()) != part) return Scan::State::broken;
      stuck_ = part.size() < word.size();
      if (stuck_) return Scan::State::incomplete;
      at_ += word.size();
      value_done();
      return Scan::State::incomplete;
    }
    return number();
  }
  // A number at the very end of the text counts as whole only on the outermost level: there SPDK answers at
  // once.
  Scan::State number() {
    auto end = std::min(text_.find_first_not_of("+-.0123456789eE", at_), text_.size());
    if (end == at_) return Scan::State::broken;
    stuck_ = end == text_.size() && !stack_.empty();
    if (stuck_) return Scan::State::incomplete;
    at_ = end;
    value_done();
    return Scan::State::incomplete;
  }

  std::string_view text_;
  std::size_t max_depth_, max_values_, at_ = 0, values_ = 0;
  Want want_ = Want::value;
  bool stuck_ = false, finished_ = false;
  std::vector<char> stack_;
  std::vector<std::string> keys_;
  Scan out_;
};

}  // namespace

Scan scan_value(std::string_view text, std::size_t max_depth, std::size_t max_values) {
  return Scanner(text, max_depth, max_values).run();
}

}  // namespace vnvme::sim
