// Writes JSON text directly: SR.ls of 10,000 volumes must not become a DOM first.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "vnvme/smapi.hpp"
#include "vnvme/units.hpp"

namespace vnvme::smapi {

class JsonWriter {
 public:
  // Commas are put by itself; key() before each member of an object.
  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }
  void key(std::string_view name);
  void value(std::string_view text);
  void value(const char* text) { value(std::string_view(text)); }
  void value(bool flag) { raw(flag ? "true" : "false"); }
  void value(std::int64_t number) { raw(std::to_string(number)); }
  void value(Bytes size);  // XAPI's integers are int64: what is larger is cut to the largest
  void value(const Strings& map);
  void null() { raw("null"); }

  template <class T>
  void member(std::string_view name, const T& v) {
    key(name);
    value(v);
  }
  void reserve(std::size_t bytes) { out_.reserve(bytes); }
  [[nodiscard]] std::string take() { return std::move(out_); }
  [[nodiscard]] std::size_t size() const { return out_.size(); }

 private:
  void open(char c);
  void close(char c);
  void raw(std::string_view text);
  void separate();
  void quoted(std::string_view text);
  std::string out_;
  bool comma_ = false;  // the next value of this list follows another one
};

}  // namespace vnvme::smapi
