#include "support/fake_xapi.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "support/fake_xapi_records.hpp"

namespace vnvme::test {
namespace {
namespace asio = boost::asio;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kDeletions = 256;  // what the real one keeps at least

std::string lower(std::string text) {
  for (auto& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string http(int status, const std::string& body) {
  auto type = status == 200 ? "application/json" : "text/html";
  return "HTTP/1.1 " + std::to_string(status) + (status == 200 ? " OK" : " Internal Error") +
         "\r\nconnection: close\r\ncache-control: no-cache, no-store\r\ncontent-type: " + type +
         "\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

const std::map<XapiFault, std::string> kNames{
    {XapiFault::none, "none"},
    {XapiFault::refuse, "connection refused"},
    {XapiFault::write_error, "write error"},
    {XapiFault::lost_before, "lost before"},
    {XapiFault::lost_after, "lost after"},
    {XapiFault::silent_before, "silent before"},
    {XapiFault::silent_after, "silent after"},
    {XapiFault::cut, "half an answer"},
    {XapiFault::garbage, "garbage"},
    {XapiFault::html_500, "500"},
    {XapiFault::not_found_404, "404"},
    {XapiFault::no_json, "no JSON"},
    {XapiFault::other_id, "another id"},
    {XapiFault::both, "result and error"},
    {XapiFault::neither, "no result"},
    {XapiFault::wrong_type, "wrong type"},
    {XapiFault::doubled, "doubled"},
    {XapiFault::session_invalid, "SESSION_INVALID"},
    {XapiFault::still_booting, "HOST_STILL_BOOTING"},
    {XapiFault::internal_error, "INTERNAL_ERROR"},
    {XapiFault::in_progress, "OTHER_OPERATION_IN_PROGRESS"},
    {XapiFault::restart_before, "restart before"},
    {XapiFault::restart_after, "restart after"},
};

}  // namespace

const std::vector<XapiFault>& all_xapi_faults() {
  static const std::vector<XapiFault> all = [] {
    std::vector<XapiFault> out;
    for (const auto& [fault, name] : kNames)
      if (fault != XapiFault::none) out.push_back(fault);
    return out;
  }();
  return all;
}
std::string name_of(XapiFault fault) {
  return kNames.at(fault);
}

// One connection: takes one request, gives one answer, ends.
class FakeXapiStream final : public rpc::Stream {
 public:
  FakeXapiStream(FakeXapi& xapi, asio::io_context& io) : xapi_(&xapi), ready_(io), timeout_(io) {
    xapi_->streams_.insert(this);
  }
  ~FakeXapiStream() override {
    if (xapi_ != nullptr) xapi_->streams_.erase(this);
  }

  Task<Result<std::size_t>> read_some(std::span<char> into) override {
    while (in_.empty() && !eof_ && !closed_) {
      ready_.expires_at(MonoClock::time_point::max());
      co_await ready_.async_wait(kAwait);
      auto cancelled = co_await asio::this_coro::cancellation_state;
      if (cancelled.cancelled() != asio::cancellation_type::none) closed_ = true;
    }
    if (closed_) co_return fail(Errc::cancelled, "closed");
    if (in_.empty()) co_return fail(Errc::unreachable, "the peer closed the connection");
    auto n = std::min({into.size(), in_.size(), xapi_ != nullptr ? xapi_->chunk : SIZE_MAX});
    std::copy_n(in_.begin(), n, into.begin());
    in_.erase(0, n);
    co_return n;
  }

  Task<Result<std::size_t>> write_some(std::string_view bytes) override {
    if (closed_ || eof_ || xapi_ == nullptr) co_return fail(Errc::unreachable, "broken pipe");
    out_.append(bytes);
    if (!take_request()) co_return fail(Errc::unreachable, "Input/output error");
    co_return bytes.size();
  }

  void close() override {
    closed_ = true;
    waiting_ = false;
    ready_.cancel();
    timeout_.cancel();
  }
  void end() {
    eof_ = true;
    waiting_ = false;
    ready_.cancel();
    timeout_.cancel();
  }
  void forget() { xapi_ = nullptr; }

  // A waiting event.from answers when there is something, or when its time is over.
  void look() {
    if (!waiting_ || xapi_ == nullptr) return;
    if (!xapi_->sessions_.contains(session_)) return answer({Json(), {"SESSION_INVALID", session_}});
    bool any = false;
    auto batch = xapi_->events(classes_, since_, &any);
    if (!any && MonoClock::now() < until_) return;
    if (xapi_->mangle) xapi_->mangle(batch);
    answer({std::move(batch), {}});
  }

 private:
  bool take_request() {
    auto head = out_.find("\r\n\r\n");
    if (head == std::string::npos) return true;
    auto at = out_.find("Content-Length: ");
    if (at == std::string::npos) return false;
    auto length = std::stoul(out_.substr(at + 16));
    if (out_.size() < head + 4 + length) return true;
    auto json = parse_json(out_.substr(head + 4));
    out_.clear();
    if (!json) return false;
    id_ = number_of(*json, "id").value_or(0);
    return serve(XapiCall{text_of(*json, "method").value_or(""), json->at("params")});
  }

  bool serve(const XapiCall& call) {
    xapi_->calls.push_back(call);
    fault_ = xapi_->fault(call);
    if (fault_ == XapiFault::write_error) return false;
    if (xapi_->before) xapi_->before(call);
    if (before_effect()) return true;
    auto said = xapi_->dispatch(call);
    if (xapi_->after) xapi_->after(call);
    if (said.error.empty() && call.method == "event.from")
      wait_for_events(call);
    else
      answer(std::move(said));
    return true;
  }

  // Faults in whose case nothing is done.
  bool before_effect() {
    switch (fault_) {
      case XapiFault::lost_before:
        end();
        return true;
      case XapiFault::silent_before:
        return true;
      case XapiFault::restart_before:
        xapi_->restart();
        return true;
      case XapiFault::not_found_404:
        say(http(404, "<html>404</html>"));
        return true;
      case XapiFault::session_invalid:
        answer({Json(), {"SESSION_INVALID", "OpaqueRef:gone"}});
        return true;
      case XapiFault::still_booting:
        answer({Json(), {"HOST_STILL_BOOTING"}});
        return true;
      case XapiFault::in_progress:
        answer({Json(), {"OTHER_OPERATION_IN_PROGRESS", "VM", "OpaqueRef:x"}});
        return true;
      default:
        return false;
    }
  }

  void wait_for_events(const XapiCall& call) {
    session_ = call.params[0].get<std::string>();
    classes_.clear();
    for (const auto& one : call.params[1]) classes_.insert(lower(one.get<std::string>()));
    auto token = call.params[2].get<std::string>();
    since_ = token.empty() ? 0 : std::stoll(token);
    if (token.empty()) ++xapi_->whole;
    auto seconds = call.params[3].get<double>();
    EXPECT_TRUE(call.params[3].is_number_float()) << "XAPI wants a float here";
    until_ = MonoClock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
    waiting_ = true;
    look();
    if (!waiting_) return;
    timeout_.expires_at(until_);
    timeout_.async_wait([this](boost::system::error_code why) {
      if (!why) look();
    });
  }

  void say(const std::string& bytes) {
    in_ += bytes;
    end();
  }

  void answer(FakeXapi::Said said) {
    waiting_ = false;
    Json frame{{"jsonrpc", "2.0"}, {"id", fault_ == XapiFault::other_id ? id_ + 1000 : id_}};
    if (fault_ == XapiFault::internal_error) said.error = {"INTERNAL_ERROR", "Not_found"};
    if (said.error.empty() || fault_ == XapiFault::both) frame["result"] = said.value;
    if (fault_ == XapiFault::wrong_type) frame["result"] = 17;
    if (!said.error.empty() || fault_ == XapiFault::both) {
      auto code = said.error.empty() ? std::string("NOT_IMPLEMENTED") : said.error[0];
      Json data = Json::array();
      for (std::size_t i = 1; i < said.error.size(); ++i) data.push_back(said.error[i]);
      frame["error"] = Json{{"code", 1}, {"message", code}, {"data", data}};
    }
    if (fault_ == XapiFault::neither) {
      frame.erase("result");
      frame.erase("error");
    }
    auto bytes = http(200, dump_json(frame));
    switch (fault_) {
      case XapiFault::lost_after:
        return end();
      case XapiFault::silent_after:
        return;
      case XapiFault::restart_after:
        return xapi_->restart();
      case XapiFault::cut:
        return say(bytes.substr(0, bytes.size() - 5));
      case XapiFault::garbage:
        return say("\x01\xFFnonsense}{\r\n\r\n");
      case XapiFault::html_500:
        return say(http(500, "<html><body><h1>HTTP 500 internal server error</h1></body></html>"));
      case XapiFault::no_json:
        return say(http(200, "<value>no JSON</value>"));
      case XapiFault::doubled:
        return say(bytes + bytes);
      default:
        return say(bytes);
    }
  }

  FakeXapi* xapi_;
  Timer ready_, timeout_;
  std::string in_, out_, session_;
  std::set<std::string> classes_;
  std::int64_t since_ = 0;
  MonoClock::time_point until_{};
  std::uint64_t id_ = 0;
  XapiFault fault_ = XapiFault::none;
  bool eof_ = false, closed_ = false, waiting_ = false;
};

class FakeXapiConnector final : public rpc::Connector {
 public:
  FakeXapiConnector(FakeXapi& xapi, asio::io_context& io) : xapi_(xapi), io_(io) {}
  Task<Result<std::unique_ptr<rpc::Stream>>> connect(Deadline) override {
    if (xapi_.refuse) co_return fail(Errc::unreachable, "Connection refused");
    std::unique_ptr<rpc::Stream> stream = std::make_unique<FakeXapiStream>(xapi_, io_);
    co_return stream;
  }
  [[nodiscard]] const std::string& endpoint() const override { return endpoint_; }

 private:
  FakeXapi& xapi_;
  asio::io_context& io_;
  std::string endpoint_ = "memory:xapi";
};

FakeXapi::FakeXapi(asio::io_context& io) : io_(io) {
  add("pool");
  add("host");
}
FakeXapi::~FakeXapi() {
  for (auto* stream : streams_) stream->forget();
}

std::unique_ptr<rpc::Connector> FakeXapi::connector() {
  return std::make_unique<FakeXapiConnector>(*this, io_);
}

std::string FakeXapi::add(const std::string& cls, Json fields) {
  auto number = next_++;
  auto ref = "OpaqueRef:" + cls + "-" + std::to_string(number);
  auto record = default_record(cls, number);
  for (auto it = fields.begin(); it != fields.end(); ++it) record[it.key()] = it.value();
  ++generation_;
  rows_[ref] = Row{cls, std::move(record), generation_, generation_};
  wake();
  return ref;
}

void FakeXapi::set(const std::string& ref, const std::string& field, Json value) {
  auto& row = rows_.at(ref);
  row.record[field] = std::move(value);
  row.modified = ++generation_;
  wake();
}

void FakeXapi::remove(const std::string& ref) {
  auto at = rows_.find(ref);
  if (at == rows_.end()) return;
  gone_.push_front(Gone{at->second.cls, ref, at->second.created, ++generation_});
  if (gone_.size() > kDeletions) gone_.pop_back();
  rows_.erase(at);
  wake();
}

const Json* FakeXapi::find(const std::string& ref) const {
  auto at = rows_.find(ref);
  return at == rows_.end() ? nullptr : &at->second.record;
}
const std::string& FakeXapi::class_of(const std::string& ref) const {
  return rows_.at(ref).cls;
}

std::size_t FakeXapi::count(const std::string& cls) const {
  return static_cast<std::size_t>(
      std::count_if(rows_.begin(), rows_.end(), [&cls](const auto& row) { return row.second.cls == cls; }));
}

void FakeXapi::forget_deletions() {
  gone_.clear();
}

void FakeXapi::restart(int booting) {
  sessions_.clear();
  gone_.clear();
  booting_ = booting;
  auto all = streams_;
  for (auto* stream : all) stream->end();
}

void FakeXapi::wake() {
  auto all = streams_;
  for (auto* stream : all) stream->look();
}

Json FakeXapi::events(const std::set<std::string>& classes, std::int64_t since, bool* any) {
  Json list = Json::array();
  auto last = since;
  Json counts = Json::object();
  auto say = [&list](const std::string& cls, const std::string& what, const std::string& ref,
                     std::int64_t when, const Json* record) {
    Json event{{"id", std::to_string(when)},
               {"timestamp", "0.0"},
               {"class", lower(cls)},
               {"operation", what},
               {"ref", ref}};
    if (record != nullptr) event["snapshot"] = *record;
    list.push_back(std::move(event));
  };
  for (const auto& [ref, row] : rows_) {
    auto cls = lower(row.cls);
    counts[cls] = counts.value(cls, 0) + 1;
    if (!classes.contains(cls)) continue;
    last = std::max(last, row.modified);
    if (row.created > since)
      say(cls, "add", ref, row.created, &row.record);
    else if (row.modified > since)
      say(cls, "mod", ref, row.modified, &row.record);
  }
  for (const auto& gone : gone_) {
    if (!classes.contains(lower(gone.cls)) || gone.deleted <= since) continue;
    last = std::max(last, gone.deleted);
    if (gone.created <= since) say(gone.cls, "del", gone.ref, gone.deleted, nullptr);
  }
  for (const auto& cls : classes)
    if (!counts.contains(cls)) counts[cls] = 0;
  *any = !list.empty();
  return Json{{"events", list}, {"valid_ref_counts", counts}, {"token", std::to_string(last) + ",0"}};
}

FakeXapi::Said FakeXapi::refused(std::string code, std::vector<std::string> params) {
  params.insert(params.begin(), std::move(code));
  return Said{Json(), std::move(params)};
}

FakeXapi::Said FakeXapi::dispatch(const XapiCall& call) {
  if (booting_ > 0) {
    --booting_;
    return refused("HOST_STILL_BOOTING");
  }
  if (call.method == "session.login_with_password") {
    ++logins;
    auto session = "OpaqueRef:session-" + std::to_string(next_++);
    sessions_.insert(session);
    return {session, {}};
  }
  auto session = call.params.empty() ? std::string() : call.params[0].get<std::string>();
  if (!sessions_.contains(session)) return refused("SESSION_INVALID", {session});
  if (call.method == "session.logout") {
    sessions_.erase(session);
    return {"", {}};
  }
  if (call.method == "event.from") {
    if (call.params[2] == "lost") return refused("EVENTS_LOST");
    return {"", {}};
  }
  if (call.method == "message.create") return create_message(call);
  auto dot = call.method.find('.');
  return with_session(call, call.method.substr(0, dot), call.method.substr(dot + 1));
}

FakeXapi::Said FakeXapi::create_message(const XapiCall& call) {
  Json fields = Json::object();
  const char* names[] = {"name", "priority", "cls", "obj_uuid", "body"};
  for (std::size_t i = 0; i < 5; ++i) fields[names[i]] = call.params.at(i + 1);
  for (const auto& [ref, row] : rows_)
    if (lower(row.cls) == lower(fields["cls"].get<std::string>()) &&
        row.record.value("uuid", "") == fields["obj_uuid"])
      return {add("message", fields), {}};
  return refused("UUID_INVALID", {fields["cls"].get<std::string>(), fields["obj_uuid"].get<std::string>()});
}

FakeXapi::Said FakeXapi::with_session(const XapiCall& call, const std::string& cls, const std::string& what) {
  auto argument = call.params.size() > 1 ? call.params[1].get<std::string>() : std::string();
  if (what == "get_all_records" || what == "get_all_records_where") {
    Json all = Json::object();
    for (const auto& [ref, row] : rows_) {
      bool fits =
          argument.empty() || argument.find("\"" + row.record.value("uuid", "") + "\"") != argument.npos;
      if (row.cls == cls && fits) all[ref] = row.record;
    }
    return {all, {}};
  }
  if (what == "get_by_uuid") {
    for (const auto& [ref, row] : rows_)
      if (row.cls == cls && row.record.value("uuid", "") == argument) return {ref, {}};
    return refused("UUID_INVALID", {cls, argument});
  }
  auto at = rows_.find(argument);
  if (at == rows_.end() || at->second.cls != cls) return refused("HANDLE_INVALID", {cls, argument});
  if (what == "get_record") return {at->second.record, {}};
  if (what == "get_power_state") return {at->second.record.at("power_state"), {}};
  if (what == "get_allowed_VBD_devices") return {Json{"0", "1", "4", "5"}, {}};
  if (what == "set_userdevice") {
    set(argument, "userdevice", call.params.at(2));
    return {"", {}};
  }
  if (what == "plug") {
    set(argument, "currently_attached", true);
    return {"", {}};
  }
  if (what == "scan") return {"", {}};
  if (what.starts_with("add_to_") || what.starts_with("remove_from_")) return change_map(call, cls, what);
  return refused("MESSAGE_METHOD_UNKNOWN", {call.method});
}

FakeXapi::Said FakeXapi::change_map(const XapiCall& call, const std::string& cls, const std::string& what) {
  const bool adding = what.starts_with("add_to_");
  auto field = what.substr(adding ? 7 : 12);
  auto ref = call.params.at(1).get<std::string>();
  auto key = call.params.at(2).get<std::string>();
  auto map = rows_.at(ref).record.at(field);
  if (adding) {
    if (map.contains(key)) return refused("MAP_DUPLICATE_KEY", {cls, field, ref, key});
    map[key] = call.params.at(3);
  } else {
    if (!map.contains(key)) return {"", {}};
    map.erase(key);
  }
  set(ref, field, std::move(map));
  return {"", {}};
}

}  // namespace vnvme::test
