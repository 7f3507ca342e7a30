#include "smapi/encode.hpp"

#include "smapi/writer.hpp"

namespace vnvme::smapi {
namespace {

void write(JsonWriter& w, const SrStat& s) {
  w.begin_object();
  w.member("sr", s.sr.value);
  w.member("uuid", s.sr.value);
  w.member("name", s.name);
  w.member("description", s.description);
  w.member("free_space", s.free_space);
  w.member("total_space", s.total_space);
  w.key("datasources");
  w.begin_array();
  w.end_array();
  w.member("clustered", false);
  w.key("health");
  w.begin_array();
  w.value(s.health);
  w.value(s.health_text);
  w.end_array();
  w.end_object();
}

void write(JsonWriter& w, const Volume& v) {
  w.begin_object();
  w.member("key", v.key.value);
  w.member("uuid", v.key.value);  // else XAPI makes up another VDI uuid at each scan
  w.member("name", v.name);
  w.member("description", v.description);
  w.member("read_write", v.read_write);
  w.member("sharable", v.sharable);
  w.member("virtual_size", v.virtual_size);
  w.member("physical_utilisation", v.physical_utilisation);
  w.key("uri");
  w.begin_array();
  w.value(make_uri(v.sr, v.key));
  w.end_array();
  w.member("keys", v.keys);
  w.end_object();
}

void write(JsonWriter& w, const Probe& p) {
  w.begin_object();
  w.member("configuration", p.configuration);
  w.member("complete", p.complete);
  w.member("extra_info", p.extra_info);
  if (p.sr) {
    w.key("sr");
    write(w, *p.sr);
  }
  w.end_object();
}

struct ImplementationWriter {
  JsonWriter& w;
  void operator()(const Backend::XenDisk& d) const {
    w.value("XenDisk");
    w.begin_object();
    w.member("params", d.params);
    w.member("extra", d.extra);
    w.member("backend_type", d.backend_type);
    w.end_object();
  }
  void operator()(const Backend::BlockDevice& d) const { path("BlockDevice", d.path); }
  void operator()(const Backend::File& d) const { path("File", d.path); }

 private:
  void path(const char* name, const std::string& text) const {
    w.value(name);
    w.begin_object();
    w.member("path", text);
    w.end_object();
  }
};

template <class T>
std::string list(const std::vector<T>& all, std::size_t each) {
  JsonWriter w;
  w.reserve(all.size() * each + 2);
  w.begin_array();
  for (const auto& one : all) write(w, one);
  w.end_array();
  return w.take();
}

template <class T>
std::string single(const T& value) {
  JsonWriter w;
  write(w, value);
  return w.take();
}

}  // namespace

std::string encode_unit() {
  return "null";
}

std::string encode_text(const std::string& text) {
  JsonWriter w;
  w.value(text);
  return w.take();
}

std::string encode_configuration(const Strings& configuration) {
  JsonWriter w;
  w.value(configuration);
  return w.take();
}

std::string encode_sr_stat(const SrStat& stat) {
  return single(stat);
}
std::string encode_probe(const std::vector<Probe>& found) {
  return list(found, 512);
}
std::string encode_volume(const Volume& volume) {
  return single(volume);
}
std::string encode_volumes(const std::vector<Volume>& volumes) {
  return list(volumes, 448);
}

std::string encode_backend(const Backend& backend) {
  JsonWriter w;
  w.begin_object();
  w.key("implementations");
  w.begin_array();
  for (const auto& one : backend.implementations) {
    w.begin_array();
    std::visit(ImplementationWriter{w}, one);
    w.end_array();
  }
  w.end_array();
  w.end_object();
  return w.take();
}

}  // namespace vnvme::smapi
