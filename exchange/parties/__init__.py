"""Who there is: parties, their people, their API clients, what each may be; documents, notices and mail.

Owns the user model and the OAuth application model. A person acts for one party at a time, by membership; a
client acts for exactly one party. What a party may be has dates; nobody applies, is admitted or approves without a
record, and an approval wants the second factor. Holds no business rule of data or money.
"""
