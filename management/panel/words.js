// Every word that is shown, once for each language. What the server says (reasons, errors) stays as it says it.

const WORDS = {
  en: {
    title: "proxy", key: "Management key", signIn: "Open", signOut: "Close", keyHint: "It stays in this page's memory only; reloading the page forgets it.",
    overview: "Overview", accounts: "Accounts", logins: "Log in", usage: "Usage", why: "Why", logs: "Logs", settings: "Settings", keys: "Client keys",
    requests: "Requests", failed: "failed", tokens: "Tokens", cost: "Cost", unknown: "unknown", unpriced: "{0} without a price", firstByte: "First byte, p50 · p95", today: "today",
    ready: "ready", active: "ready", cooling: "cooling", probing: "probing", broken: "needs you", disabled: "disabled", error: "not used", unused: "unused", busy: "busy", reserved: "reserved", spent: "spent", gone: "gone",
    account: "Account", provider: "Provider", state: "State", windows: "Quota", served: "Served", actions: "Actions", model: "Model", time: "When", status: "Status", seconds: "Took", attempts: "Attempts", wires: "Formats", losses: "lost in translation",
    backIn: "back in {0}", resetsIn: "resets in {0}", asOf: "seen {0} ago", noWindows: "not told yet", noAccounts: "No account yet. Log in, add a key, or drop a file into the auth-dir.", noRequests: "No request yet.",
    enable: "Enable", disable: "Disable", probe: "Test", clear: "End cooldown", remove: "Delete", edit: "Edit", save: "Save", cancel: "Cancel", addKey: "Add an API key", upload: "Add account files", filter: "Filter", reallyRemove: "Delete {0}? Its file is removed.",
    kind: "Kind", name: "Name", baseUrl: "Base URL", secret: "Key", label: "Label", note: "Note", priority: "Priority", weight: "Weight", prefix: "Prefix", concurrency: "Requests at a time", added: "{0} is added.", done: "Done.",
    issuer: "Issuer", clientId: "Client id", clientSecret: "Client secret, if it has one", tokensFor: "Whom the tokens are for", wire: "Format, if it is another API", again: "Log in again", loggedInAlready: "Logged in already",
    begin: "Log in", device: "by device code", here: "the browser runs on the server's machine", project: "Google Cloud project", openPage: "Open the provider's page", elsewhere: "Browser on another machine? Sign in here, and paste the code:", typeCode: "Type this code there, and nowhere else:", paste: "Paste the code, or the address that the browser could not open", send: "Send", loggedIn: "Logged in: {0}", renewed: "Renewed: {0}", noLogins: "No login is under way.", underWay: "Under way, and lately",
    hours24: "24 hours", days7: "7 days", days30: "30 days", by: "by", group_model: "model", group_account: "account", group_provider: "provider", group_key: "client key", export: "Download as CSV", lately: "Latest requests", more: "More",
    dryRun: "Who would serve this request?", ask: "Ask", body: "Body of a request, in any of the formats", byId: "Request id", decisions: "Latest decisions", chosen: "chosen by {0}", nobody: "nobody", passedOver: "passed over", anybody: "nobody's", comesFrom: "From the address", notes: "Nothing decided yet.",
    live: "Live", errors: "Recorded errors", show: "Show", noErrors: "None recorded.", logsOff: "The log goes to the server's own output. logging-to-file: true keeps it in files, which are shown here.",
    changed: "It was changed by somebody else meanwhile. Load it again, and make your change anew.", reload: "Load again", saved: "Saved, and in force.", file: "config.yaml", secretsMasked: "Secrets are shown as masks; a mask that stays is kept as it is.",
    everyState: "every state", all: "all {0}", chosenMany: "{0} chosen:", manyDone: "Done with {0} of {1}.", reallyMany: "Delete {0} accounts? Their files are removed.", back: "Back", range: "{0}–{1} of {2}",
    limits: "Limits", budgets: "Budget", rpm: "requests a minute", tpm: "tokens a minute", onlyModels: "only these models", onlyAccounts: "only these accounts", expires: "expires", lastMinute: "last minute", budgetPer: "Budget for each", budgetTokens: "budget, tokens", budgetDollars: "budget, dollars", month: "month", week: "week", day: "day", expired: "expired", refused: "refused",
    rotate: "New secret", reallyRotate: "Give {0} another secret? The old one stops working at once.", reallyRemoveKey: "Delete {0}? It lets nobody in from now on.",
    newKey: "Make a new key", keyOnce: "Copy it now: it is not shown again.", copy: "Copy", copied: "Copied.", noKeys: "None: only this machine is served.",
    endpoints: "Point clients here", tryIt: "Send a test message", message: "Message", clientKey: "Client key, if keys are set", answer: "Answer", startHere: "Start here", startText: "The accounts below are simulated. Add your own to serve real requests:", live_requests: "As it happens", audit: "Changes", quarantined: "Files not in force", notGood: "The last config.yaml is not in force:",
    restartNeeded: "In force at the next start: {0}.", unreachable: "The server does not answer.", noChanges: "Nothing was changed yet.", busiest: "highest: {0}", everyLine: "also of this panel and the API",
  },
  zh: {
    title: "proxy", key: "管理密钥", signIn: "打开", signOut: "关闭", keyHint: "密钥只保存在本页内存中，刷新页面即清除。",
    overview: "概览", accounts: "账号", logins: "登录", usage: "用量", why: "原因", logs: "日志", settings: "设置", keys: "客户端密钥",
    requests: "请求", failed: "失败", tokens: "令牌", cost: "费用", unknown: "未知", unpriced: "{0} 个无价格", firstByte: "首字节 p50 · p95", today: "今天",
    ready: "就绪", active: "就绪", cooling: "冷却中", probing: "试探中", broken: "需要处理", disabled: "已停用", error: "未使用", unused: "未使用", busy: "繁忙", reserved: "预留", spent: "已用尽", gone: "已移除",
    account: "账号", provider: "提供方", state: "状态", windows: "配额", served: "已服务", actions: "操作", model: "模型", time: "时间", status: "状态码", seconds: "耗时", attempts: "尝试", wires: "格式", losses: "转换中丢失",
    backIn: "{0} 后恢复", resetsIn: "{0} 后重置", asOf: "{0} 前读取", noWindows: "尚未得知", noAccounts: "还没有账号。请登录、添加密钥，或把文件放入 auth-dir。", noRequests: "还没有请求。",
    enable: "启用", disable: "停用", probe: "测试", clear: "结束冷却", remove: "删除", edit: "编辑", save: "保存", cancel: "取消", addKey: "添加 API 密钥", upload: "添加账号文件", filter: "筛选", reallyRemove: "删除 {0}？其文件将被移除。",
    kind: "类型", name: "名称", baseUrl: "Base URL", secret: "密钥", label: "标签", note: "备注", priority: "优先级", weight: "权重", prefix: "前缀", concurrency: "并发请求数", added: "已添加 {0}。", done: "完成。",
    issuer: "颁发者", clientId: "客户端 ID", clientSecret: "客户端密钥（若有）", tokensFor: "令牌用于", wire: "格式（若为其他 API）", again: "重新登录", loggedInAlready: "已登录的账号",
    begin: "登录", device: "使用设备码", here: "浏览器运行在服务器所在机器上", project: "Google Cloud 项目", openPage: "打开提供方页面", elsewhere: "浏览器在另一台机器上？请在此登录并粘贴代码：", typeCode: "只在该页面输入此代码：", paste: "粘贴代码，或浏览器无法打开的地址", send: "发送", loggedIn: "已登录：{0}", renewed: "已更新：{0}", noLogins: "没有进行中的登录。", underWay: "进行中与最近",
    hours24: "24 小时", days7: "7 天", days30: "30 天", by: "按", group_model: "模型", group_account: "账号", group_provider: "提供方", group_key: "客户端密钥", export: "下载 CSV", lately: "最近请求", more: "更多",
    dryRun: "此请求会由谁处理？", ask: "查询", body: "任意格式的请求体", byId: "请求 ID", decisions: "最近的决定", chosen: "按 {0} 选中", nobody: "无", passedOver: "略过", anybody: "不指定", comesFrom: "来源地址", notes: "尚无决定。",
    live: "实时", errors: "已记录的错误", show: "显示", noErrors: "没有记录。", logsOff: "日志写到服务器自身的输出。logging-to-file: true 会写入文件并在此显示。",
    changed: "期间已被他人修改。请重新载入后再改。", reload: "重新载入", saved: "已保存并生效。", file: "config.yaml", secretsMasked: "密钥以掩码显示；保留掩码即保持不变。",
    everyState: "所有状态", all: "全部 {0} 个", chosenMany: "已选 {0} 个：", manyDone: "已完成 {0}/{1}。", reallyMany: "删除 {0} 个账号？其文件将被移除。", back: "上一页", range: "第 {0}–{1} 个，共 {2} 个",
    limits: "限制", budgets: "预算", rpm: "每分钟请求数", tpm: "每分钟令牌数", onlyModels: "仅限模型", onlyAccounts: "仅限账号", expires: "到期", lastMinute: "最近一分钟", budgetPer: "预算周期", budgetTokens: "预算令牌数", budgetDollars: "预算美元", month: "月", week: "周", day: "日", expired: "已到期", refused: "被拒绝",
    rotate: "更换密钥", reallyRotate: "为 {0} 更换密钥？旧密钥立即失效。", reallyRemoveKey: "删除 {0}？从现在起它不再放行任何人。",
    newKey: "生成新密钥", keyOnce: "请立即复制：不会再次显示。", copy: "复制", copied: "已复制。", noKeys: "无：只服务本机。",
    endpoints: "客户端指向此处", tryIt: "发送测试消息", message: "消息", clientKey: "客户端密钥（若已设置）", answer: "回答", startHere: "从这里开始", startText: "下面的账号是模拟的。添加你自己的账号以处理真实请求：", live_requests: "实时请求", audit: "变更", quarantined: "未生效的文件", notGood: "最新的 config.yaml 未生效：",
    restartNeeded: "下次启动时生效：{0}。", unreachable: "服务器没有响应。", noChanges: "尚无变更。", busiest: "最高：{0}", everyLine: "包括本面板与管理 API",
  },
};

const spoken = navigator.language.slice(0, 2);
export const language = spoken in WORDS ? spoken : "en";
const words = WORDS[language];

export function t(name, ...values) {
  return (words[name] ?? WORDS.en[name] ?? name).replace(/\{(\d)\}/g, (_, index) => values[index]);
}
