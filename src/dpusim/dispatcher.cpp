#include "dpusim/dispatcher.hpp"

#include <unistd.h>

#include <array>

namespace vnvme::sim {
namespace {

constexpr int kInvalidRequest = -32600;
constexpr int kNoMethod = -32601;

std::string answer_text(const Json& id, const Reply& reply) {
  std::string head = "{\"jsonrpc\":\"2.0\",\"id\":" + dump_json_ascii(id);
  if (reply) return head + ",\"result\":" + reply_text(*reply) + "}\n";
  Json error = {{"code", reply.error().code}, {"message", reply.error().message}};
  return head + ",\"error\":" + dump_json_ascii(error) + "}\n";
}

std::string invalid(const Json& id = nullptr) {
  return answer_text(id, refuse(kInvalidRequest, "Invalid request"));
}

// The members that the real decoder knows, each of the type that it wants.
bool well_formed(const Json& r) {
  if (!r.is_object()) return false;
  constexpr std::array known = {"jsonrpc", "method", "params", "id"};
  for (auto it = r.begin(); it != r.end(); ++it)
    if (std::find(known.begin(), known.end(), it.key()) == known.end()) return false;
  if (auto v = r.find("jsonrpc"); v != r.end() && *v != "2.0") return false;
  if (auto id = r.find("id"); id != r.end() && (id->is_structured() || id->is_boolean())) return false;
  auto method = r.find("method");
  return method != r.end() && method->is_string();
}

}  // namespace

bool Dispatcher::serve(std::string_view text, bool repeated_member, const Send& send) {
  JsonLimits limits{
      .bytes = 1u << 20, .depth = target_.profile.max_depth + 1, .values = 16'384, .string_bytes = 1u << 20};
  auto value = parse_json(text, limits);
  if (!value) return false;
  if (value->is_array() && target_.profile.v26 && !value->empty())
    batch(*value, send);
  else
    request(*value, repeated_member, send);
  return true;
}

void Dispatcher::request(const Json& value, bool repeated_member, const Send& send) {
  auto give = [&send](const std::string& text) { send(Mangled{{text}, false}); };
  if (repeated_member || !well_formed(value)) return give(invalid());
  auto id_at = value.find("id");
  Json id = id_at == value.end() ? Json() : *id_at;
  auto params = value.find("params");
  if (params != value.end() && !params->is_structured() && !params->is_null()) return give(invalid(id));
  const auto& method = value["method"].get_ref<const std::string&>();
  const auto* handler = target_.method(method);
  if (handler == nullptr) return give(answer_text(id, refuse(kNoMethod, "Method not found")));
  ++target_.counters.calls[method];
  auto fault = method.starts_with("sim_") ? std::nullopt : target_.faults->hit(method);
  if (fault) return with_fault(*fault, *handler, value, id, send);
  execute(*handler, value, id, id.is_null(), [send](const std::string& answer) {
    if (!answer.empty()) send(Mangled{{answer}, false});
  });
}

void Dispatcher::execute(const Target::Handler& handler, const Json& value, const Json& id, bool notification,
                         const Give& give) {
  auto params = value.find("params");
  const Json* given = params == value.end() || params->is_null() ? nullptr : &*params;
  bool v26 = target_.profile.v26;
  handler(given, [id, notification, v26, give](const Reply& reply) {
    auto text = answer_text(id, reply);
    if (!notification || !reply) return give(text);
    // The old version sends the beginning of an answer and never its end.
    give(v26 ? std::string() : text.substr(0, text.size() - 2));
  });
}

void Dispatcher::with_fault(const Fault& fault, const Target::Handler& handler, const Json& value,
                            const Json& id, const Send& send) {
  const auto& action = fault.action;
  if (action == "kill_before") ::_exit(137);
  if (action == "drop_before") return send(Mangled{{}, true});
  // The proxy says this before it looks at the request.
  if (action == "status_401") return send(Mangled{{}, true, action});
  if (action == "error") return send(Mangled{{answer_text(id, refuse(fault.code, fault.message))}, false});
  execute(handler, value, id, id.is_null(), [t = &target_, fault, send](const std::string& answer) {
    if (fault.action == "kill_after") ::_exit(137);
    if (fault.action == "never" || answer.empty()) return;
    if (fault.action == "drop_after") return send(Mangled{{}, true});
    if (fault.action == "late")
      return t->later_(fault.delay_ms, [send, answer] { send(Mangled{{answer}, false}); });
    send(mangle(fault, answer));
  });
}

// All answers in one array, when the last of them is there.
void Dispatcher::batch(const Json& list, const Send& send) {
  struct Collected {
    std::vector<std::string> answers;
    std::size_t open;
  };
  // Shared by the unfinished requests of the batch: the last one to end sends.
  auto all = std::make_shared<Collected>(Collected{std::vector<std::string>(list.size()), list.size()});
  for (std::size_t i = 0; i < list.size(); ++i) {
    Give give = [all, i, send](const std::string& answer) {
      all->answers[i] = answer.substr(0, answer.find_last_not_of('\n') + 1);
      if (--all->open > 0) return;
      std::string text;
      for (const auto& a : all->answers)
        if (!a.empty()) text += (text.empty() ? "[" : ",") + a;
      if (!text.empty()) send(Mangled{{text + "]\n"}, false});
    };
    const Json& one = list[i];
    if (!well_formed(one)) {
      give(invalid());
      continue;
    }
    Json id = one.contains("id") ? one["id"] : Json();
    const auto* handler = target_.method(one["method"].get<std::string>());
    if (handler == nullptr)
      give(answer_text(id, refuse(kNoMethod, "Method not found")));
    else
      execute(*handler, one, id, id.is_null(), give);
  }
}

}  // namespace vnvme::sim
